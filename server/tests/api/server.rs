//! A server over real SQLite and a log in memory, with the ingest role's routes, and the operations of its document. Every
//! answer that a test gets is held against the document.

use std::sync::{Arc, LazyLock, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::response::Parts;
use axum::http::{Request, StatusCode};
use fastn_contract::activity::ExecutionStatus;
use fastn_contract::alert::{AlertChannel, AlertNotification, AlertState};
use fastn_contract::error::Problem;
use fastn_domain::catalog::{AccessKey, CompiledAlert, ResourceKind, SealedSecret};
use fastn_domain::event::ReplyTo;
use fastn_domain::{AccountId, CustomerId, Residency, Scope, Timestamp};
use fastn_ingest::{Ingest, IngestConfig};
use fastn_log::{Log, Topic};
use fastn_server::api::{
    ActivityChange, AppAnswer, AppPorts, AppRequest, CatalogView, Ports, RunOutcome, RunTicket, SourceError,
};
use fastn_store::{CatalogFeed, Expect, FeedOptions, ResourceWrite, SqliteOptions, SqliteStore, Store};
use fastn_testkit::MemoryLog;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tower::ServiceExt as _;

pub(crate) const KEY: &str = "fsk_test_account";
pub(crate) const KEY_ACME: &str = "fsk_test_acme";
pub(crate) const KEY_OTHER: &str = "fsk_test_other";
/// A key of the account whose time is over.
pub(crate) const KEY_EXPIRED: &str = "fsk_test_expired";

/// The document that answers are held against.
static DOCUMENT: LazyLock<Value> = LazyLock::new(fastn_server::api::document);

pub(crate) struct Server {
    pub(crate) app: Router,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) activity: broadcast::Sender<Arc<ActivityChange>>,
    /// What apps were asked.
    pub(crate) asked: Arc<Mutex<Vec<AppRequest>>>,
    /// What they answer: a status and a body, or no answer.
    pub(crate) app_answers: Arc<Mutex<Result<(u16, String), String>>>,
    _feed: CatalogFeed,
    _directory: tempfile::TempDir,
}

pub(crate) async fn add_key(store: &dyn Store, account: &str, key: &str, customer: Option<&str>) {
    add_key_until(store, account, key, customer, None).await;
}

async fn add_key_until(
    store: &dyn Store,
    account: &str,
    key: &str,
    customer: Option<&str>,
    expires: Option<Timestamp>,
) {
    let stored = AccessKey {
        id: key.replace("fsk_test", "key"),
        name: String::new(),
        hash: fastn_store::hash_access_key(key),
        customer: customer.map(|id| CustomerId::new(id).unwrap()),
        expires,
    };
    let write = ResourceWrite {
        kind: ResourceKind::AccessKey,
        customer: None,
        id: stored.id.clone(),
        body: Some(serde_json::to_string(&stored).unwrap()),
        expect: Expect::Any,
    };
    store.write(&AccountId::new(account).unwrap(), vec![write]).await.unwrap();
}

/// As if each channel of a rule had taken a message.
fn told(rule: &CompiledAlert) -> Vec<AlertNotification> {
    let delivered = |channel: &AlertChannel| AlertNotification {
        id: "msg_test".to_owned(),
        channel: channel.kind().to_owned(),
        about: AlertState::Firing,
        status: "delivered".to_owned(),
        attempts: 1,
        error: None,
    };
    rule.spec.channels.iter().map(delivered).collect()
}

impl Server {
    pub(crate) async fn start(outcome: RunOutcome) -> Self {
        Self::in_cell(outcome, Residency::default()).await
    }

    pub(crate) async fn in_cell(outcome: RunOutcome, residency: Residency) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> =
            Arc::new(SqliteStore::open(directory.path(), SqliteOptions::default()).await.unwrap());
        add_key(store.as_ref(), "acc_one", KEY, None).await;
        add_key(store.as_ref(), "acc_one", KEY_ACME, Some("cus_acme")).await;
        add_key(store.as_ref(), "acc_two", KEY_OTHER, None).await;
        add_key_until(store.as_ref(), "acc_one", KEY_EXPIRED, None, Some(Timestamp(1))).await;
        let (catalog, feed) = CatalogFeed::start(store.clone(), FeedOptions::default()).await.unwrap();
        let log: Arc<dyn Log> = Arc::new(MemoryLog::new(4));
        let (activity, _) = broadcast::channel(64);
        let asked: Arc<Mutex<Vec<AppRequest>>> = Arc::default();
        let app_answers = Arc::new(Mutex::new(Ok((200, String::new()))));
        let (asking, answering) = (asked.clone(), app_answers.clone());
        let (feed_of_edge, residency_of_edge) = (catalog.clone(), Arc::new(residency.clone()));
        let ports = Ports {
            apps: AppPorts {
                open_secret: Arc::new(|at| Ok(format!("value of {} {}", at.name, at.version))),
                call: Arc::new(move |request| {
                    asking.lock().unwrap().push(request);
                    let answer = answering.lock().unwrap().clone();
                    Box::pin(async move {
                        answer.map(|(status, body): (u16, String)| AppAnswer { status, body: body.into_bytes() })
                    })
                }),
                public_url: Some("https://hooks.example".to_owned()),
            },
            clock: Arc::new(fastn_server::clock::SystemClock),
            store: store.clone(),
            log: log.clone(),
            catalog: CatalogView(catalog),
            log_keep: std::time::Duration::from_secs(3_600),
            residency: Arc::new(residency),
            compile: Arc::new(|source, _| match source.contains("BROKEN") {
                true => Err(SourceError { message: "expected `)`".to_owned(), line: 3, column: 7 }),
                false => Ok(()),
            }),
            seal: Arc::new(|_, _, _, version, _| {
                Ok(SealedSecret { wrapped_key: "w".to_owned(), sealed: format!("sealed {version}") })
            }),
            test_channels: Arc::new(|_, rule, _| Box::pin(async move { told(&rule) })),
            await_run: Arc::new(move || {
                let (reply_to, outcome) = (ReplyTo { node: "test".to_owned(), request: 1 }, outcome.clone());
                RunTicket { reply_to, outcome: Box::pin(async { Some(Ok(outcome)) }) }
            }),
            activity: activity.clone(),
            readers: tokio::sync::watch::Sender::new(0),
            readiness: Arc::new(Vec::new),
            metrics: Arc::new(String::new),
            stopping: Default::default(),
        };
        let edge = fastn_ingest::router(Ingest {
            log: log.clone(),
            catalog: feed_of_edge,
            secrets: Arc::new(|at| Ok(format!("value of {}", at.name))),
            keep_secret: Arc::new(|_| Box::pin(async { Ok(true) })),
            clock: Arc::new(fastn_server::clock::SystemClock),
            residency: residency_of_edge,
            config: IngestConfig::default(),
        });
        let app = fastn_server::api::router(ports, edge, true);
        Self { app, log, store, activity, asked, app_answers, _feed: feed, _directory: directory }
    }

    pub(crate) async fn completing() -> Self {
        let output = Some("{\"sum\":3}".to_owned());
        Self::start(RunOutcome { status: ExecutionStatus::Completed, output, error: None }).await
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
        let (parts, body) = self.answer(request).await;
        (parts.status, body)
    }

    /// What the server answers, once the document was asked whether it may.
    pub(crate) async fn answer(&self, request: Request<Body>) -> (Parts, Value) {
        let called = called(request.method().as_str(), request.uri().path());
        let shows_its_body = request.method() != "HEAD";
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 22).await.unwrap();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let id = parts.headers["x-request-id"].to_str().unwrap();
        assert!(!id.is_empty());
        if parts.status.is_client_error() || parts.status.is_server_error() {
            assert_eq!(parts.headers["content-type"], "application/problem+json", "{}", parts.status);
            assert!(!shows_its_body || body["requestId"] == id, "{body}");
        }
        if let Some(operation) = called {
            is_documented(operation, &parts, &body);
        }
        (parts, body)
    }

    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        self.with(method, path, body, &[("x-fastn-access-key", KEY)]).await
    }

    pub(crate) async fn with(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Body::from(body.to_string())
            }
            None => Body::empty(),
        };
        self.send(request.body(body).unwrap()).await
    }

    pub(crate) async fn ready_to_run(&self, tier: &str) {
        self.call("PUT", "/v1/customers/cus_acme", Some(json!({"id": "cus_acme"}))).await;
        self.call("PUT", "/v1/workflows/add", Some(json!({"id": "add", "tier": tier}))).await;
        self.call("POST", "/v1/workflows/add/versions", Some(json!({"source": "code"}))).await;
    }

    pub(crate) async fn events(&self, customer: &str) -> Vec<fastn_domain::event::EventRecord> {
        let scope = Scope::parse("acc_one", customer).unwrap();
        let partition = fastn_domain::partition::partition_of(&scope, self.log.partitions());
        let records = self.log.read(Topic::Events, partition, 0, 100, 1 << 20).await.unwrap();
        records.iter().map(|record| fastn_log::codec::decode_event(&record.value).unwrap()).collect()
    }
}

/// The operation that a request calls: of those whose path fits, the one with the most of it written out.
fn called(method: &str, path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let (asked, known): (Vec<_>, Vec<_>) = (path.split('/').collect(), template.split('/').collect());
        let open = |part: &str| part.starts_with('{');
        let fit = asked.len() == known.len() && asked.iter().zip(&known).all(|(a, k)| open(k) || a == k);
        fit.then(|| known.iter().filter(|part| !open(part)).count())
    };
    let (_, item) = paths.iter().filter(|(path, _)| fits(path).is_some()).max_by_key(|(path, _)| fits(path))?;
    item.get(method.to_lowercase())
}

/// Holds an answer against the document: status, media type, and the code of a problem.
fn is_documented(operation: &Value, parts: &Parts, body: &Value) {
    let (id, status) = (operation["operationId"].as_str().unwrap(), parts.status.as_u16());
    let answer = &operation["responses"][status.to_string()];
    assert!(answer.is_object(), "{id} answers {status}, which its document does not know: {body}");
    let answer = answer["$ref"].as_str().map_or(Some(answer), |to| DOCUMENT.pointer(to.trim_start_matches('#')));
    if let Some(kind) = parts.headers.get("content-type") {
        let kind = kind.to_str().unwrap().split(';').next().unwrap_or_default();
        let known = answer.unwrap()["content"].get(kind).is_some();
        assert!(known, "{id} answers {status} as {kind}, which its document does not know");
    }
    if let Ok(problem) = serde_json::from_value::<Problem>(body.clone()) {
        let codes = operation["x-fastn-codes"].as_array().unwrap();
        assert!(
            codes.contains(&json!(problem.code)),
            "{id} answers {:?}, which its document does not know",
            problem.code
        );
        assert_eq!((status, problem.code.status()), (problem.status, problem.status), "{id}");
    }
}

pub(crate) fn operations() -> Vec<(String, String)> {
    let document = fastn_server::api::document();
    let paths = document["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    });
    all.collect()
}

/// Whether the ingest role serves an operation; its own tests hold those.
pub(crate) fn is_edge(method: &str, path: &str) -> bool {
    let sends = ["/v1/events", "/v1/app-events", "/v1/apps/{endpoint}/events"].contains(&path);
    path.starts_with("/v1/webhooks") || (method == "POST" && sends)
}

/// What to send to an operation so that only the key decides.
pub(crate) fn sample(path: &str) -> (String, Option<Value>) {
    let url = path
        .replace("{name}", "NAME")
        .replace("{version}", "1")
        .replace("{environment}", "test")
        .replace("{key}", "k")
        .replace("{trigger}", "x")
        .replace("{endpoint}", "x")
        .replace("{code}", "NOT_FOUND")
        .replace(
            "{id}",
            if path.contains("executions") || path.contains("dead") { "exec_00000000000000000000000001" } else { "x" },
        );
    let body = match path {
        "/v1/customers/{id}" => json!({"id": "x"}),
        "/v1/workflows/{id}" => json!({"id": "x"}),
        "/v1/workflows/{id}/versions" => json!({"source": "code"}),
        "/v1/workflows/{id}/deployments/{environment}" => json!({"version": 1}),
        "/v1/workflows/{id}/run" => json!({"input": {}}),
        "/v1/triggers" => json!({"source": {"type": "webhook"}, "routes": [{"workflow": "w"}]}),
        "/v1/apps/{id}" => json!({"id": "x", "events": [{"id": "e"}]}),
        "/v1/triggers/{id}" => json!({"id": "x", "source": {"type": "webhook"}, "routes": [{"workflow": "w"}]}),
        "/v1/schedules/{id}/backfill" => json!({"from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}),
        "/v1/secrets/{name}" => json!({"name": "NAME", "value": "v"}),
        "/v1/env-configs/{environment}/{key}" => json!({"environment": "test", "key": "k", "value": 1}),
        "/v1/alert-rules/{id}" => json!({"id": "x"}),
        "/v1/alert-rules/{id}/silence" => json!({"duration": "1h"}),
        "/v1/plans/{id}" | "/v1/customer-tiers/{id}" => json!({"id": "x"}),
        "/v1/quota-settings" => json!({"plan": "unlimited"}),
        "/v1/replays" | "/v1/replays/preview" => json!({"select": {"of": "dead_letters"}}),
        "/v1/settings/retention" => json!({"activityDays": 30}),
        "/v1/executions/{id}/decisions" => json!({"step": "approval", "approved": true}),
        _ => json!({}),
    };
    (url, Some(body))
}
