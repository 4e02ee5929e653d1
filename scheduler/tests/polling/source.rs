//! A source over HTTP: records that a test changes, listed in every way of paging.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

pub(crate) type Records = BTreeMap<String, Value>;

/// Records of one page.
const PAGE: usize = 3;

pub(crate) struct Source {
    pub(crate) url: String,
    pub(crate) state: Arc<Held>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Default)]
pub(crate) struct Held {
    pub(crate) records: Mutex<Records>,
    /// Requests answered, in all.
    pub(crate) asked: AtomicU32,
    /// The requests that came, as their queries.
    pub(crate) queries: Mutex<Vec<String>>,
    /// So many of the next requests are refused.
    pub(crate) refuse: AtomicUsize,
    /// After so many that are not.
    pub(crate) spare: AtomicUsize,
    /// How, with these headers.
    pub(crate) refusal: Mutex<(u16, Vec<(&'static str, String)>)>,
    /// Headers of answers that are none.
    pub(crate) headers: Mutex<Vec<(&'static str, String)>>,
}

impl Source {
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Held::default());
        let app = Router::new()
            .route("/all", get(all))
            .route("/numbers", get(numbers))
            .route("/cursor", get(cursor))
            .route("/link", get(link))
            .route("/elsewhere", get(elsewhere))
            .route("/since", get(since))
            .with_state(state.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, state, server }
    }

    pub(crate) fn put(&self, key: &str, mut record: Value) {
        record["id"] = json!(key);
        self.state.records.lock().unwrap().insert(key.to_owned(), record);
    }

    pub(crate) fn fill(&self, count: usize) {
        (0..count).for_each(|n| self.put(&format!("r{n:02}"), json!({"n": n, "at": n})));
    }

    pub(crate) fn remove(&self, key: &str) {
        self.state.records.lock().unwrap().remove(key);
    }

    pub(crate) fn refuse(&self, times: usize, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        *self.state.refusal.lock().unwrap() = (status, headers);
        self.state.refuse.store(times, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> u32 {
        self.state.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Params = Query<BTreeMap<String, String>>;

impl Held {
    fn listed(&self) -> Vec<Value> {
        self.records.lock().unwrap().values().cloned().collect()
    }

    fn page(&self, from: usize) -> (Vec<Value>, bool) {
        let all = self.listed();
        let page: Vec<Value> = all.iter().skip(from).take(PAGE).cloned().collect();
        (page, from + PAGE < all.len())
    }

    fn answer(&self, params: &BTreeMap<String, String>, body: Value, more: HeaderMap) -> Response {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let query: Vec<String> = params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.queries.lock().unwrap().push(query.join("&"));
        let less = |left: usize| left.checked_sub(1);
        let spared = self.spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let refused = !spared && self.refuse.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
        let (status, headers) = match refused {
            true => self.refusal.lock().unwrap().clone(),
            false => (200, self.headers.lock().unwrap().clone()),
        };
        let mut response = (StatusCode::from_u16(status).unwrap(), more, Json(body)).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

fn number(params: &BTreeMap<String, String>, name: &str) -> usize {
    params.get(name).and_then(|text| text.parse().ok()).unwrap_or_default()
}

async fn all(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    held.answer(&params, json!({"data": held.listed()}), HeaderMap::new())
}

async fn numbers(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    let (page, _) = held.page((number(&params, "page") - 1) * PAGE);
    held.answer(&params, json!({ "data": page }), HeaderMap::new())
}

async fn cursor(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    let from = number(&params, "after");
    let (page, more) = held.page(from);
    let next = if more { json!(format!("{}", from + PAGE)) } else { Value::Null };
    held.answer(&params, json!({"data": page, "paging": {"after": next}}), HeaderMap::new())
}

async fn link(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    let from = number(&params, "from");
    let (page, more) = held.page(from);
    let mut headers = HeaderMap::new();
    if more {
        headers.insert("link", format!("</link?from={}>; rel=\"next\"", from + PAGE).parse().unwrap());
    }
    held.answer(&params, json!({ "data": page }), headers)
}

async fn elsewhere(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert("link", "<http://127.0.0.2:9/all>; rel=next".parse().unwrap());
    held.answer(&params, json!({"data": held.listed()}), headers)
}

async fn since(State(held): State<Arc<Held>>, Query(params): Params) -> Response {
    let since = number(&params, "since") as u64;
    let newer: Vec<Value> = held.listed().into_iter().filter(|record| record["at"].as_u64() >= Some(since)).collect();
    held.answer(&params, json!({ "data": newer }), HeaderMap::new())
}
