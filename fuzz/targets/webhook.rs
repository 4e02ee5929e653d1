//! Whole requests through the edge's router: lookup of triggers and apps, keys, signatures, gzip, bodies, events.
//!
//! The header `path` picks the route, `/v1/webhooks/public` when absent. The account has no valid signature to guess, so
//! signed triggers are reached through their checks only; `public`, and `/v1/events` with the key, reach the rest.
#![no_main]

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use fastn_contract::error::Problem;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::{AccountId, Clock, CustomerId, Timestamp};
use fastn_fuzz::{SinkLog, request};
use fastn_ingest::{Ingest, IngestConfig, auth, problem, router};
use fastn_log::codec::decode_event;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tower::ServiceExt;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_614_265_330_000)
    }
}

struct Fixture {
    runtime: Runtime,
    log: Arc<SinkLog>,
    router: Router,
    _catalog: watch::Sender<Arc<Catalog>>,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let log = Arc::new(SinkLog::default());
    let (sender, catalog) = watch::channel(Arc::new(catalog()));
    let ingest = Ingest {
        log: log.clone(),
        catalog,
        secrets: Arc::new(|_| Ok("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned())),
        keep_secret: Arc::new(|_| Box::pin(async { Ok(true) })),
        clock: Arc::new(FixedClock),
        residency: Arc::default(),
        config: IngestConfig::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    Fixture { runtime, log, router: problem::with_fallbacks(router(ingest)), _catalog: sender }
});

fuzz_target!(|input: &[u8]| {
    let (headers, body) = request(input);
    let path = headers.get("path").and_then(|value| value.to_str().ok()).filter(|path| path.starts_with('/'));
    let Ok(mut request) = Request::post(path.unwrap_or("/v1/webhooks/public")).body(Body::from(body.to_vec())) else {
        return;
    };
    *request.headers_mut() = headers;
    let fixture = &*FIXTURE;
    fixture.log.last.lock().expect("one thread").clear();
    let (status, answer) = fixture.runtime.block_on(async {
        let Ok(response) = fixture.router.clone().oneshot(request).await;
        (response.status().as_u16(), to_bytes(response.into_body(), usize::MAX).await.expect("a body in memory"))
    });
    let records = fixture.log.last.lock().expect("one thread").clone();
    match status {
        // A handshake makes no event, and neither does an app's event that nobody listens to.
        200 => assert!(records.is_empty()),
        202 => {
            let dispatched = serde_json::from_slice::<Value>(&answer).expect("JSON")["dispatched"].clone();
            assert!(!records.is_empty() || dispatched == json!(0));
        }
        400..500 => {
            assert!(records.is_empty());
            serde_json::from_slice::<Problem>(&answer).expect("every refusal is a problem");
        }
        other => panic!("answered {other}: {}", String::from_utf8_lossy(&answer)),
    }
    for record in records {
        let event = decode_event(&record.value).expect("a record reads back");
        serde_json::from_str::<Value>(&event.data).expect("data is JSON that every reader can read");
        assert!(event.headers.iter().all(|header| !["authorization", "cookie"].contains(&header.name.as_str())));
        assert!(!event.kind.starts_with("fastn."));
    }
});

fn catalog() -> Catalog {
    let customer = json!({"id": "acme"});
    let trigger = |id: &str, verification: Value| {
        let source = json!({"type": "webhook", "verification": verification});
        let body = json!({"id": id, "customer": "acme", "source": source, "routes": [{"workflow": "w"}]});
        (ResourceKind::Trigger, id.to_owned(), body)
    };
    let rows: Vec<ResourceRow> = [
        (ResourceKind::Customer, "acme".to_owned(), customer),
        trigger("public", json!({"scheme": "public"})),
        trigger("key", json!({"scheme": "accessKey"})),
        trigger("github", json!({"scheme": "github", "secret": "S"})),
        trigger("standard", json!({"scheme": "standardWebhooks", "secret": "S"})),
        trigger("svix", json!({"scheme": "svix", "secret": "S"})),
        trigger("stripe", json!({"scheme": "stripe", "secret": "S"})),
        trigger("slack", json!({"scheme": "slack", "secret": "S"})),
        trigger("shopify", json!({"scheme": "shopify", "secret": "S"})),
        trigger("hubspot1", json!({"scheme": "hubspot", "version": "v1", "secret": "S"})),
        trigger("hubspot2", json!({"scheme": "hubspot", "version": "v2", "secret": "S"})),
        trigger("hubspot3", json!({"scheme": "hubspot", "version": "v3", "secret": "S"})),
        trigger("twilio", json!({"scheme": "twilio", "secret": "S"})),
        trigger("linear", json!({"scheme": "linear", "secret": "S"})),
        trigger("zendesk", json!({"scheme": "zendesk", "secret": "S"})),
        trigger("meta", json!({"scheme": "meta", "secret": "S", "verifyToken": "S"})),
        trigger("dropbox", json!({"scheme": "dropbox", "secret": "S"})),
        trigger("notion", json!({"scheme": "notion", "secret": "S"})),
        trigger("graph", json!({"scheme": "microsoftGraph", "clientState": "S"})),
        trigger("basic", json!({"scheme": "basic", "username": "u", "secret": "S"})),
        trigger("token", json!({"scheme": "token", "header": "x-token", "secret": "S"})),
        trigger("certificate", json!({"scheme": "clientCertificate", "header": "x-cert", "allowed": ["CN=a"]})),
        trigger(
            "hmac",
            json!({"scheme": "hmac", "header": "x-sig", "prefix": "v1=", "secret": "S", "timestampHeader": "x-time",
                "idHeader": "x-id", "payload": "{method}{url}{id}{timestamp}{body}"}),
        ),
        (
            ResourceKind::App,
            "hub".to_owned(),
            json!({"id": "hub", "endpoint": "ep", "verification": {"scheme": "public"}, "eventKey": "type",
                "mappedTo": "portal", "events": [{"id": "made"}]}),
        ),
        (
            ResourceKind::Trigger,
            "hears".to_owned(),
            json!({"id": "hears", "customer": "acme", "routes": [{"workflow": "w"}],
                "source": {"type": "appEvent", "app": "hub", "event": "made", "accountId": "1"}}),
        ),
        (
            ResourceKind::Secret,
            "S".to_owned(),
            json!({"name": "S", "versions": {"1": {"wrappedKey": "", "sealed": ""}}}),
        ),
        (ResourceKind::AccessKey, "k".to_owned(), json!({"id": "k", "name": "k", "hash": auth::key_hash("fsk")})),
    ]
    .into_iter()
    .map(|(kind, id, body)| ResourceRow {
        kind,
        account: AccountId::new("main").expect("an id"),
        customer: (kind == ResourceKind::Trigger).then(|| CustomerId::new("acme").expect("an id")),
        id,
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    })
    .collect();
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    catalog
}
