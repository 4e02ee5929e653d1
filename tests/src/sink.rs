//! An HTTP endpoint that remembers every call: its idempotency key, its path and its body.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{HeaderMap, Uri};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The `Idempotency-Key`.
    pub key: String,
    /// The path.
    pub path: String,
    /// The body.
    pub body: String,
    /// When.
    pub at: Instant,
}

/// A running sink.
pub struct Sink {
    /// Where it listens.
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Sink {
    /// Starts one that answers `{"path", "n"}` after `delay`; `n` is the number of calls so far, so that no two answers
    /// are the same.
    pub async fn start(delay: Duration) -> anyhow::Result<Self> {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let seen = Arc::clone(&calls);
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: String| {
            let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
            let path = uri.path().to_owned();
            let call = Call { key, path: path.clone(), body, at: Instant::now() };
            let n = {
                let mut calls = seen.lock().unwrap_or_else(PoisonError::into_inner);
                calls.push(call);
                calls.len()
            };
            async move {
                tokio::time::sleep(delay).await;
                axum::Json(serde_json::json!({"path": path, "n": n}))
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { url, calls })
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
