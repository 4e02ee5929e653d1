//! Who may call what: the table against the document, and against every operation with every kind of key.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::Request;
use fastn_server::api::access::{self, Access};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::server::{KEY, KEY_ACME, KEY_EXPIRED, KEY_OTHER, Server, operations, sample};

const ACCOUNT: &str = "x-fastn-account-id";
const CUSTOMER: &str = "x-fastn-account-tenant-id";

/// Property: the table names every operation and nothing else, and the document says of each what the table does.
#[test]
fn the_table_is_whole() {
    let document = fastn_server::api::document();
    let all: Vec<&Value> =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values()).collect();
    let ids: BTreeSet<&str> = all.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(access::named().collect::<BTreeSet<_>>(), ids);
    assert_eq!(access::named().count(), ids.len());
    for operation in all {
        let (access, note) = access::of(operation["operationId"].as_str().unwrap());
        assert_eq!(operation["x-fastn-access"], access.as_str());
        let text = operation["description"].as_str().unwrap();
        assert!(text.contains(access.sentence()) && text.contains(note), "{text}");
    }
}

/// A kind of key, and what is sent with it.
struct Caller {
    what: &'static str,
    headers: Vec<(&'static str, &'static str)>,
    /// The status and the code that every operation that looks at keys answers it with; none if it depends.
    refused: Option<(u16, &'static str)>,
    /// Whether it acts for one customer only.
    bound: bool,
}

fn callers() -> Vec<Caller> {
    let key = |key| ("x-fastn-access-key", key);
    let caller = |what, headers, refused, bound| Caller { what, headers, refused, bound };
    vec![
        caller("no key", vec![], Some((401, "AUTH_INVALID")), false),
        caller("an unknown key", vec![key("fsk_test_unknown")], Some((401, "AUTH_INVALID")), false),
        caller("an expired key", vec![key(KEY_EXPIRED)], Some((401, "AUTH_EXPIRED")), false),
        caller("another account's key", vec![key(KEY_OTHER), (ACCOUNT, "acc_one")], Some((403, "FORBIDDEN")), false),
        caller("another customer's key", vec![key(KEY_ACME), (CUSTOMER, "x")], Some((403, "FORBIDDEN")), true),
        caller("the account's key", vec![key(KEY)], None, false),
        caller("the account's key for a customer", vec![key(KEY), (CUSTOMER, "cus_acme")], None, false),
        caller("the account's key as a bearer", vec![("authorization", BEARER)], None, false),
        caller("a customer's key", vec![key(KEY_ACME)], None, true),
    ]
}

/// [`KEY`].
const BEARER: &str = "Bearer fsk_test_account";

fn operation(method: &str, path: &str) -> Value {
    fastn_server::api::document()["paths"][path][method.to_lowercase()].clone()
}

/// The sample of an operation, about what belongs to the customer `cus_acme`.
fn own(document: &Value, method: &str, path: &str) -> (String, Option<Value>) {
    let operation = &document["paths"][path][method.to_lowercase()];
    let (mut url, mut body) = sample(path);
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    if parameters.clone().any(|parameter| parameter["in"] == "query" && parameter["name"] == "customer") {
        url.push_str("?customer=cus_acme");
    }
    let schema = operation.pointer("/requestBody/content/application~1json/schema/$ref").and_then(Value::as_str);
    let schema = schema.and_then(|to| document.pointer(to.trim_start_matches('#')));
    if let (Some(Value::Object(body)), Some(schema)) = (&mut body, schema)
        && schema["properties"].get("customer").is_some()
    {
        body.insert("customer".to_owned(), json!("cus_acme"));
    }
    (url, body)
}

async fn status_of(server: &Server, method: &str, url: &str, body: Option<Value>, caller: &Caller) -> (u16, Value) {
    if url.ends_with("/stream") {
        // It does not end.
        let mut request = Request::get(url);
        for (name, value) in &caller.headers {
            request = request.header(*name, *value);
        }
        let answer = server.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let code = if answer.status().as_u16() == 403 { "FORBIDDEN" } else { "" };
        return (answer.status().as_u16(), json!({"code": code}));
    }
    let (status, answer) = server.with(method, url, body, &caller.headers).await;
    (status.as_u16(), answer)
}

/// Property: every operation refuses the kinds of keys that the table says, with the right code, and no other; this holds
/// for a HEAD as for the GET.
#[tokio::test]
async fn every_kind_of_key_gets_what_the_table_says() {
    let document = fastn_server::api::document();
    let mut tried = 0;
    for caller in callers() {
        // Whatever one kind of key changes is not there for the next.
        let server = Server::completing().await;
        server.ready_to_run("standard").await;
        for (method, path) in operations() {
            let id = operation_id(&document, &method, &path);
            let (access, _) = access::of(&id);
            if access == Access::Sender {
                continue;
            }
            let (url, body) = own(&document, &method, &path);
            let mut asked = vec![(method.clone(), body)];
            if method == "GET" && !url.ends_with("/stream") {
                asked.push(("HEAD".to_owned(), None));
            }
            for (method, body) in asked {
                let (status, answer) = status_of(&server, &method, &url, body, &caller).await;
                let what = format!("{method} {url} with {}: {status} {answer}", caller.what);
                let expected = match (access, caller.refused, caller.bound) {
                    (Access::Anyone, ..) => None,
                    (_, Some(refused), _) => Some(refused),
                    (Access::Account, None, true) => Some((403, "FORBIDDEN")),
                    _ => None,
                };
                match expected {
                    Some((expected, code)) => {
                        assert_eq!(status, expected, "{what}");
                        assert!(answer["code"] == code || answer["code"] == "" || method == "HEAD", "{what}");
                    }
                    None => assert!(!matches!(status, 401 | 403), "{what}"),
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 900, "{tried}");
}

fn operation_id(document: &Value, method: &str, path: &str) -> String {
    document["paths"][path][method.to_lowercase()]["operationId"].as_str().unwrap().to_owned()
}

/// Property: a key of one customer changes nothing that is the account's: every write of an operation that is for what is
/// one's own is refused there, and the thing stays as it was.
#[tokio::test]
async fn what_is_the_accounts_is_not_a_customers_to_change() {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    let poll = json!({"type": "poll", "entity": "contact", "key": "id", "request": {"url": "https://crm.example"}});
    for (path, body) in [
        ("triggers/x", json!({"id": "x", "source": poll, "routes": [{"workflow": "add"}]})),
        ("secrets/NAME", json!({"name": "NAME", "value": "v"})),
        ("alert-rules/x", json!({"id": "x"})),
    ] {
        let (status, answer) = server.call("PUT", &format!("/v1/{path}"), Some(body)).await;
        assert_eq!(status.as_u16(), 201, "{answer}");
    }
    let seen = async || {
        let mut seen = Vec::new();
        for path in ["triggers/x", "secrets", "alert-rules/x"] {
            seen.push(server.call("GET", &format!("/v1/{path}"), None).await);
        }
        seen
    };
    let before = seen().await;
    let mut tried = 0;
    for (method, path) in operations() {
        let id = operation(&method, &path)["operationId"].as_str().unwrap().to_owned();
        if access::of(&id).0 != Access::Own || method == "GET" || !path.contains('{') {
            continue;
        }
        let (url, body) = sample(&path);
        let (status, answer) = server.with(&method, &url, body, &[("x-fastn-access-key", KEY_ACME)]).await;
        assert!(matches!(status.as_u16(), 403 | 404), "{method} {url}: {status} {answer}");
        tried += 1;
    }
    assert!(tried > 12, "{tried}");
    assert_eq!(seen().await, before);
}

/// Property: a request of the account that names a customer writes nothing of another one.
#[tokio::test]
async fn who_names_a_customer_writes_nothing_of_another() {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    let source = json!({"type": "event", "types": ["t"]});
    let headers = [("x-fastn-access-key", KEY), ("x-fastn-account-tenant-id", "cus_acme")];
    for (path, mut body) in [
        ("triggers/x", json!({"id": "x", "source": source, "routes": [{"workflow": "add"}]})),
        ("secrets/NAME", json!({"name": "NAME", "value": "v"})),
        ("alert-rules/x", json!({"id": "x"})),
    ] {
        let url = format!("/v1/{path}");
        body["customer"] = json!("cus_other");
        let (status, answer) = server.with("PUT", &url, Some(body.clone()), &headers).await;
        assert_eq!((status.as_u16(), &answer["code"]), (403, &json!("FORBIDDEN")), "{path}: {answer}");
        body["customer"] = json!("cus_acme");
        let (status, answer) = server.with("PUT", &url, Some(body), &headers).await;
        assert_eq!(status.as_u16(), 201, "{path}: {answer}");
    }
}

/// Property: where senders prove themselves by a scheme, the scheme decides and no key is needed; where they do so by an
/// access key, one is.
#[tokio::test]
async fn senders_need_what_their_scheme_asks_for() {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    for (scheme, without_key) in [("public", 202), ("accessKey", 401)] {
        let source = json!({"type": "webhook", "verification": {"scheme": scheme}});
        let trigger = json!({"id": "x", "customer": "cus_acme", "source": source, "routes": [{"workflow": "add"}]});
        let (status, answer) = server.call("PUT", "/v1/triggers/x", Some(trigger)).await;
        assert!(status.is_success(), "{answer}");
        let (status, answer) = server.with("POST", "/v1/webhooks/x", Some(json!({"a": 1})), &[]).await;
        assert_eq!(status.as_u16(), without_key, "{answer}");
        let (status, answer) = server.call("POST", "/v1/webhooks/x", Some(json!({"a": 1}))).await;
        assert_eq!(status.as_u16(), 202, "{answer}");
    }
}

/// Property: the page that people read names every operation once.
#[test]
fn the_page_names_every_operation() {
    let page = access::page(&fastn_server::api::document());
    for id in access::named() {
        assert_eq!(page.matches(&format!("| `{id}` |")).count(), 1, "{id}");
    }
}
