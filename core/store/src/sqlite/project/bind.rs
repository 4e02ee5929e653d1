//! Rows as the parameters of a statement, in the order of its columns. Texts are moved, not copied.

use std::sync::Arc;

use sqlx::Arguments as _;
use sqlx::sqlite::SqliteArguments;

use crate::ended::{Ended, array, json};
use crate::label::Label as _;
use crate::projection::{EventRow, ExecutionPatch, ExecutionRow, InputRow};
use fastn_domain::ids::ExecutionId;

/// The parameters of one statement.
pub(super) struct Arguments(SqliteArguments);

impl Arguments {
    pub(super) fn new(count: usize) -> Self {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(count, 0);
        Self(arguments)
    }

    pub(super) fn finish(self) -> SqliteArguments {
        self.0
    }

    fn add<'t, T: sqlx::Encode<'t, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(&mut self, value: T) {
        self.0.add(value).expect("texts, numbers and bytes always encode");
    }

    fn text(&mut self, text: &str) {
        self.add(Arc::<str>::from(text));
    }

    fn text_or_null(&mut self, text: Option<&str>) {
        self.add(text.map(Arc::<str>::from));
    }

    fn owned(&mut self, text: Option<String>) {
        self.add(text);
    }

    fn number(&mut self, number: i64) {
        self.add(number);
    }

    fn number_or_null(&mut self, number: Option<i64>) {
        self.add(number);
    }

    pub(super) fn blob(&mut self, bytes: Vec<u8>) {
        self.add(bytes);
    }

    fn id_or_null(&mut self, id: Option<ExecutionId>) {
        self.add(id.map(|id| id.to_bytes().to_vec()));
    }
}

pub(super) fn bind_event(to: &mut Arguments, row: EventRow) {
    to.number(row.seq.as_i64());
    to.text(row.scope.account.as_str());
    to.text(row.scope.customer.as_str());
    to.text(row.id.as_str());
    to.number(row.received.0);
    to.text(row.status.label());
    to.owned(Some(row.kind));
    to.owned(Some(row.source));
    to.owned(row.subject);
    to.text(row.origin.label());
    to.text_or_null(row.trigger.as_ref().map(|trigger| trigger.as_str()));
    to.number(row.time.0);
    to.owned(row.reason);
    let executions: Vec<u8> = row.executions.iter().flat_map(|id| id.to_bytes()).collect();
    to.add((!executions.is_empty()).then_some(executions));
    to.owned(array(&row.headers));
    to.add(row.data);
    to.text_or_null(row.quota.map(|quota| quota.label()));
    to.number_or_null(row.priority.map(i64::from));
}

pub(super) fn bind_execution(to: &mut Arguments, row: ExecutionRow) {
    let ended = Ended::of(row.state);
    to.blob(row.id.to_bytes().to_vec());
    to.text(row.scope.account.as_str());
    to.text(row.scope.customer.as_str());
    to.number(row.created.0);
    to.text(ended.status.label());
    to.text(row.workflow.as_str());
    to.number(i64::from(row.version));
    to.text(row.environment.as_str());
    to.text(ended.tier);
    to.text(row.origin.label());
    to.text_or_null(row.trigger.as_ref().map(|trigger| trigger.as_str()));
    to.text(row.event_id.as_str());
    to.number_or_null(match row.input {
        InputRow::Event(seq) => Some(seq.as_i64()),
        InputRow::Inline { .. } => None,
    });
    to.id_or_null(row.replay_of);
    to.id_or_null(row.parent);
    to.number(i64::from(ended.attempt));
    to.number_or_null(ended.finished);
    to.number(ended.step_count);
    to.owned(ended.error);
    let (kind, source, time, input) = match row.input {
        InputRow::Event(_) => (None, None, None, None),
        InputRow::Inline { event_kind, event_source, event_time, input } => {
            (Some(event_kind), Some(event_source), Some(event_time.0), Some(input))
        }
    };
    to.owned(kind);
    to.owned(source);
    to.number_or_null(time);
    to.owned(array(&row.headers));
    to.owned(input);
    to.owned(ended.steps);
    to.owned(ended.logs);
    to.owned(ended.output);
    to.owned(ended.results);
    to.owned(ended.waits);
    to.owned(row.flow.as_deref().map(json));
}

pub(super) fn bind_progress(to: &mut Arguments, patch: ExecutionPatch) {
    let ended = Ended::of(patch.state);
    to.blob(patch.id.to_bytes().to_vec());
    to.text(ended.status.label());
    to.number(i64::from(ended.attempt));
    to.text(ended.tier);
    to.number_or_null(ended.finished);
    to.number(ended.step_count);
    to.owned(ended.error);
    to.owned(ended.steps);
    to.owned(ended.logs);
    to.owned(ended.output);
    to.owned(ended.results);
    to.owned(ended.waits);
    to.number(i64::from(ended.finished.is_some()));
}
