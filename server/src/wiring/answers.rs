//! Answers of Instant runs between nodes: the processor's node tells the one whose caller waits.
//!
//! Best effort on both ends. A caller that hears nothing looks at the activity of its execution, and never is it run again.
//! Calls carry a token that is derived from the master key, which every node of a cell has and nobody else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Json, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use fastn_domain::event::ReplyTo;
use fastn_pipeline::processor::machine::Answer;
use fastn_pipeline::processor::{Answers, Forward};
use fastn_store::MasterKey;
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

use crate::observe;

/// Answers on their way at once; those beyond are not sent.
const IN_FLIGHT_MAX: usize = 1_024;
/// Longest time of one.
const TIME_MAX: Duration = Duration::from_secs(5);
/// Largest answer that is taken: a workflow's result and some.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// What the nodes of a cell prove themselves with.
#[derive(Clone)]
pub(super) struct Token(Arc<str>);

impl Token {
    pub(super) fn of(master: &MasterKey) -> Self {
        use std::fmt::Write as _;
        let key = master.derive("fastn 2026 calls between nodes");
        let hex = key.iter().fold("Bearer ".to_owned(), |mut hex, byte| {
            write!(hex, "{byte:02x}").expect("writing to a string cannot fail");
            hex
        });
        Self(hex.into())
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
        given.ct_eq(self.0.as_bytes()).into()
    }
}

/// Carries answers to the nodes that are named in them.
pub(super) fn forward(token: Token) -> anyhow::Result<Forward> {
    let http = reqwest::Client::builder().timeout(TIME_MAX).no_proxy().build().context("make the client of nodes")?;
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    Ok(Box::new(move |to: ReplyTo, answer: Answer| {
        let Ok(permit) = room.clone().try_acquire_owned() else {
            observe::answer_not_forwarded("too many are on their way");
            return;
        };
        let url = format!("http://{}/internal/answers/{}", to.node, to.request);
        let request = http.post(url).header(header::AUTHORIZATION, &*token.0).json(&answer);
        tokio::spawn(async move {
            let _permit = permit;
            match request.send().await {
                Ok(response) if response.status().is_success() => observe::answer_forwarded(),
                Ok(response) => observe::answer_not_forwarded(&format!("the node answered {}", response.status())),
                Err(error) => observe::answer_not_forwarded(&error.without_url().to_string()),
            }
        });
    }))
}

#[derive(Clone)]
struct Desk {
    answers: Arc<Answers>,
    node: Arc<str>,
    token: Token,
}

/// Takes the answers that other nodes send to `node`.
pub(super) fn router(answers: Arc<Answers>, node: &str, token: Token) -> Router {
    Router::new()
        .route("/internal/answers/{request}", post(take))
        .layer(DefaultBodyLimit::max(ANSWER_BYTES_MAX))
        .with_state(Desk { answers, node: node.into(), token })
}

async fn take(
    State(desk): State<Desk>,
    headers: HeaderMap,
    Path(request): Path<u64>,
    body: axum::body::Bytes,
) -> StatusCode {
    if !desk.token.is_in(&headers) {
        return StatusCode::NOT_FOUND;
    }
    let Ok(Json(answer)) = Json::<Answer>::from_bytes(&body) else { return StatusCode::BAD_REQUEST };
    desk.answers.give(&ReplyTo { node: desk.node.to_string(), request }, answer);
    StatusCode::NO_CONTENT
}
