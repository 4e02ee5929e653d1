//! The columns that the state of an execution becomes, whatever the database.

use std::fmt::Write as _;

use fastn_contract::activity::ExecutionStatus;
use serde::Serialize;

use crate::label::Label as _;
use crate::projection::ExecutionState;

/// The columns that a state becomes.
pub(crate) struct Ended {
    pub(crate) status: ExecutionStatus,
    pub(crate) attempt: u32,
    pub(crate) tier: &'static str,
    pub(crate) finished: Option<i64>,
    pub(crate) step_count: i64,
    pub(crate) error: Option<String>,
    pub(crate) steps: Option<String>,
    pub(crate) logs: Option<String>,
    pub(crate) output: Option<String>,
    pub(crate) results: Option<String>,
    pub(crate) waits: Option<String>,
}

impl Ended {
    pub(crate) fn of(state: ExecutionState) -> Self {
        let completed = state.status == ExecutionStatus::Completed;
        let results_count = state.results.len();
        let results = if completed { None } else { lines(&state.results) };
        let error = state.error.as_ref().map(json);
        let (attempt, status, tier) = (state.attempt, state.status, state.tier.label());
        match state.end {
            None => Self {
                status,
                attempt,
                tier,
                finished: None,
                step_count: results_count as i64,
                error,
                steps: None,
                logs: None,
                output: None,
                results,
                waits: lines(&state.waits),
            },
            Some(end) => Self {
                status,
                attempt,
                tier,
                finished: Some(end.at.0),
                step_count: end.steps.len() as i64,
                error,
                steps: array(&end.steps),
                logs: array(&end.logs),
                output: end.output,
                results,
                waits: None,
            },
        }
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("journal types have string keys and no failing serialisers")
}

pub(crate) fn array<T: Serialize>(items: &[T]) -> Option<String> {
    (!items.is_empty()).then(|| json(&items))
}

/// One JSON object a line, so that more can be appended.
fn lines<T: Serialize>(items: &[T]) -> Option<String> {
    if items.is_empty() {
        return None;
    }
    let mut text = String::new();
    for item in items {
        writeln!(text, "{}", json(item)).expect("writing to a string cannot fail");
    }
    Some(text)
}
