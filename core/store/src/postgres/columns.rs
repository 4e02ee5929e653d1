//! Rows of a batch as columns: one array each, so that a statement of one text takes any number of rows. Texts are borrowed.

use std::borrow::Cow;

use super::text::clean;
use crate::ended::{Ended, array, json};
use crate::label::Label as _;
use crate::projection::{EventRow, ExecutionPatch, ExecutionRow, InputRow};

type Text<'r> = Cow<'r, str>;

/// The columns of events.
#[derive(Default)]
pub(super) struct Events<'r> {
    pub(super) seq: Vec<i64>,
    pub(super) account: Vec<&'r str>,
    pub(super) customer: Vec<&'r str>,
    pub(super) id: Vec<Text<'r>>,
    pub(super) received: Vec<i64>,
    pub(super) status: Vec<&'static str>,
    pub(super) kind: Vec<Text<'r>>,
    pub(super) source: Vec<Text<'r>>,
    pub(super) subject: Vec<Option<Text<'r>>>,
    pub(super) origin: Vec<&'static str>,
    pub(super) trigger: Vec<Option<&'r str>>,
    pub(super) time: Vec<i64>,
    pub(super) reason: Vec<Option<Text<'r>>>,
    pub(super) executions: Vec<Option<Vec<u8>>>,
    pub(super) headers: Vec<Option<String>>,
    pub(super) data: Vec<Option<Text<'r>>>,
    pub(super) quota: Vec<Option<&'static str>>,
    pub(super) priority: Vec<Option<i64>>,
}

impl<'r> Events<'r> {
    pub(super) fn of(rows: &'r [EventRow]) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.push(row);
        }
        columns
    }

    fn push(&mut self, row: &'r EventRow) {
        let executions: Vec<u8> = row.executions.iter().flat_map(|id| id.to_bytes()).collect();
        self.seq.push(row.seq.as_i64());
        self.account.push(row.scope.account.as_str());
        self.customer.push(row.scope.customer.as_str());
        self.id.push(clean(row.id.as_str()));
        self.received.push(row.received.0);
        self.status.push(row.status.label());
        self.kind.push(clean(&row.kind));
        self.source.push(clean(&row.source));
        self.subject.push(row.subject.as_deref().map(clean));
        self.origin.push(row.origin.label());
        self.trigger.push(row.trigger.as_ref().map(|trigger| trigger.as_str()));
        self.time.push(row.time.0);
        self.reason.push(row.reason.as_deref().map(clean));
        self.executions.push((!executions.is_empty()).then_some(executions));
        self.headers.push(array(&row.headers));
        self.data.push(row.data.as_deref().map(clean));
        self.quota.push(row.quota.map(|quota| quota.label()));
        self.priority.push(row.priority.map(i64::from));
    }
}

/// The columns of where executions stand.
#[derive(Default)]
pub(super) struct States {
    pub(super) id: Vec<Vec<u8>>,
    pub(super) ended: Vec<bool>,
    pub(super) status: Vec<&'static str>,
    pub(super) attempt: Vec<i64>,
    pub(super) tier: Vec<&'static str>,
    pub(super) finished: Vec<Option<i64>>,
    pub(super) step_count: Vec<i64>,
    pub(super) error: Vec<Option<String>>,
    pub(super) steps: Vec<Option<String>>,
    pub(super) logs: Vec<Option<String>>,
    pub(super) output: Vec<Option<String>>,
    pub(super) results: Vec<Option<String>>,
    pub(super) waits: Vec<Option<String>>,
}

impl States {
    pub(super) fn of(patches: Vec<ExecutionPatch>) -> Self {
        let mut columns = Self::default();
        for patch in patches {
            columns.push(patch.id.to_bytes(), Ended::of(patch.state));
        }
        columns
    }

    fn push(&mut self, id: [u8; 16], state: Ended) {
        self.id.push(id.to_vec());
        self.ended.push(state.status.is_final());
        self.status.push(state.status.label());
        self.attempt.push(i64::from(state.attempt));
        self.tier.push(state.tier);
        self.finished.push(state.finished);
        self.step_count.push(state.step_count);
        self.error.push(state.error);
        self.steps.push(state.steps);
        self.logs.push(state.logs);
        // JSON text all of it, where NUL is escaped; a cut payload is cut between characters.
        self.output.push(state.output);
        self.results.push(state.results);
        self.waits.push(state.waits);
    }
}

/// The columns of whole executions.
#[derive(Default)]
pub(super) struct Executions {
    pub(super) state: States,
    pub(super) account: Vec<String>,
    pub(super) customer: Vec<String>,
    pub(super) created: Vec<i64>,
    pub(super) workflow: Vec<String>,
    pub(super) version: Vec<i64>,
    pub(super) environment: Vec<String>,
    pub(super) origin: Vec<&'static str>,
    pub(super) trigger: Vec<Option<String>>,
    pub(super) event_id: Vec<String>,
    pub(super) event_seq: Vec<Option<i64>>,
    pub(super) replay_of: Vec<Option<Vec<u8>>>,
    pub(super) parent: Vec<Option<Vec<u8>>>,
    pub(super) event_kind: Vec<Option<String>>,
    pub(super) event_source: Vec<Option<String>>,
    pub(super) event_time: Vec<Option<i64>>,
    pub(super) headers: Vec<Option<String>>,
    pub(super) input: Vec<Option<String>>,
    pub(super) flow: Vec<Option<String>>,
}

impl Executions {
    pub(super) fn of(rows: Vec<ExecutionRow>) -> Self {
        let mut columns = Self::default();
        for row in rows {
            columns.push(row);
        }
        columns
    }

    fn push(&mut self, row: ExecutionRow) {
        self.state.push(row.id.to_bytes(), Ended::of(row.state));
        self.account.push(row.scope.account.as_str().to_owned());
        self.customer.push(row.scope.customer.as_str().to_owned());
        self.created.push(row.created.0);
        self.workflow.push(row.workflow.as_str().to_owned());
        self.version.push(i64::from(row.version));
        self.environment.push(row.environment.as_str().to_owned());
        self.origin.push(row.origin.label());
        self.trigger.push(row.trigger.as_ref().map(|trigger| trigger.as_str().to_owned()));
        self.event_id.push(clean(row.event_id.as_str()).into_owned());
        self.replay_of.push(row.replay_of.map(|id| id.to_bytes().to_vec()));
        self.parent.push(row.parent.map(|id| id.to_bytes().to_vec()));
        self.headers.push(array(&row.headers));
        let (seq, kind, source, time, input) = match row.input {
            InputRow::Event(seq) => (Some(seq.as_i64()), None, None, None, None),
            InputRow::Inline { event_kind, event_source, event_time, input } => {
                (None, Some(event_kind), Some(event_source), Some(event_time.0), Some(input))
            }
        };
        let owned = |text: Option<String>| text.map(|text| clean(&text).into_owned());
        self.event_seq.push(seq);
        self.event_kind.push(owned(kind));
        self.event_source.push(owned(source));
        self.event_time.push(time);
        self.input.push(owned(input));
        self.flow.push(row.flow.as_deref().map(json));
    }
}
