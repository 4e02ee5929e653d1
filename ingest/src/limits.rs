//! The limits of events at the edge: payloads that are too large, and the first line against floods.
//!
//! Admission is where events are counted exactly. The edge refuses only what admission would certainly refuse: in one minute
//! or day of the calendar it takes twice a hard limit. The events that it took all lie in the log in that window or, where
//! they cross its end, in the next; so by then one of the two is full, and it is the one in which another event would lie.

use axum::http::HeaderValue;
use axum::response::Response;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::quota::{Dimension, Enforcement};
use fastn_domain::Timestamp;
use fastn_domain::catalog::Catalog;
use fastn_domain::event::EventRecord;
use fastn_domain::quota::{DAY, Effective, MINUTE, Told, Window};

use crate::edge::{Edge, Taken};
use crate::observe;
use crate::problem::retry_after;

/// Times a limit that the edge takes in one window.
const EDGE_FACTOR: u64 = 2;

/// Why these events are refused, if they are, and the limit that says so.
pub(crate) fn refusal(edge: &Edge, taken: &Taken) -> Option<(Problem, Option<Told>)> {
    let catalog = edge.catalog();
    let first = taken.events.first()?;
    if let Some(problem) = taken.events.iter().find_map(|event| too_large(&catalog, event)) {
        return Some((problem, None));
    }
    let limits = catalog.event_limits(&first.scope)?;
    let now = edge.parts.clock.now();
    let count = u32::try_from(taken.events.len()).unwrap_or(u32::MAX);
    let hard = |limit: Option<Effective>| limit.filter(|limit| limit.mode == Enforcement::Hard);
    for (limit, length) in [(hard(limits.minute), MINUTE), (hard(limits.day), DAY)] {
        let Some(limit) = limit else { continue };
        let most = limit.limit.saturating_mul(EDGE_FACTOR);
        let name = limit.dimension.as_str();
        if edge.limiter.take(&first.scope.key(), name, most, length, now, count).is_none() {
            let told = Told {
                name,
                limit: limit.limit,
                window_s: length.as_secs(),
                left: 0,
                resets: Window::at(now, length).end,
            };
            observe::quota_passed(limit.dimension, limit.mode);
            return Some((used_up(&limit, &told, first.scope.customer.as_str(), now), Some(told)));
        }
    }
    None
}

/// The answer to a request beyond a limit of a minute (waiting helps soon) or of a day.
pub fn used_up(limit: &Effective, told: &Told, customer: &str, now: Timestamp) -> Problem {
    let code = match limit.dimension {
        Dimension::EventsPerMinute | Dimension::ApiCallsPerMinute => ErrorCode::RateLimited,
        _ => ErrorCode::QuotaExceeded,
    };
    let whose = if customer.is_empty() { "the account".to_owned() } else { format!("customer {customer}") };
    let detail = format!(
        "The limit of {} {} of {whose} is used up until {}. Nothing was taken.",
        limit.limit,
        limit.dimension.words(),
        told.resets
    );
    retry_after(Problem::new(code, detail), u32::try_from(told.reset_s(now)).unwrap_or(u32::MAX))
}

fn too_large(catalog: &Catalog, event: &EventRecord) -> Option<Problem> {
    payload_too_large(catalog, &event.scope, event.data.len())
}

/// The refusal of a payload of so many bytes, if a limit of its customer says so.
pub fn payload_too_large(catalog: &Catalog, scope: &fastn_domain::Scope, bytes: usize) -> Option<Problem> {
    let limit = catalog.limit(scope, Dimension::PayloadBytes)?;
    if bytes as u64 <= limit.limit {
        return None;
    }
    observe::quota_passed(limit.dimension, limit.mode);
    let customer = &scope.customer;
    let detail = format!(
        "The payload has {bytes} bytes; the limit of customer {customer} is {} payload bytes. Nothing was taken.",
        limit.limit
    );
    (limit.mode == Enforcement::Hard).then(|| Problem::new(ErrorCode::PayloadTooLarge, detail))
}

/// Tells limits in the fields of the RateLimit draft.
pub fn tell(mut response: Response, told: &[Told], now: Timestamp) -> Response {
    let join =
        |item: fn(&Told, Timestamp) -> String| told.iter().map(|told| item(told, now)).collect::<Vec<_>>().join(", ");
    let fields = [("ratelimit-policy", join(|told, _| told.policy())), ("ratelimit", join(Told::rate))];
    for (name, value) in fields {
        if let (false, Ok(value)) = (value.is_empty(), HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
