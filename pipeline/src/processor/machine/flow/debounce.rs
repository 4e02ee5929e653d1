//! Debounce: an execution waits until no other event of its key came for a period, and the newest takes the place of those
//! before it. The longest wait is counted from the first of them.

use fastn_domain::journal::{Debounced, Flow, HeldBy};
use fastn_domain::time::Timestamp;
use serde_json::Value;

use super::Holder;
use crate::processor::machine::Machine;
use crate::processor::machine::execution::Phase;

impl Machine {
    /// Holds an execution back, and ends the one that it follows.
    pub(super) fn debounce_of(&mut self, holder: &Holder<'_>, data: &Value, received: Timestamp, flow: &mut Flow) {
        let Some((period, wait_max, key)) = &holder.flow.debounce else { return };
        let key = holder.key("debounce", key, data);
        let before = self.flow.debounces.get(key.as_str()).copied();
        let before = before
            .and_then(|id| self.executions.get(&id))
            .filter(|one| matches!(one.phase, Phase::Held | Phase::Behind));
        let older = before.map(|one| {
            let first = one.flow.as_ref().and_then(|flow| flow.debounce.as_ref()).map_or(received, |one| one.first);
            (one.id, first)
        });
        let first = older.map_or(received, |(_, first)| first);
        let end = received.plus(*period);
        let end = wait_max.map_or(end, |most| end.min(first.plus(most)));
        if let Some((id, _)) = older {
            self.supersede(id, format!("a newer event took its place: the debounce of {}", holder.of));
        }
        if flow.not_before.is_none_or(|at| at < end) {
            flow.not_before = Some(end);
            flow.limit = Some(HeldBy { limit: "debounce".to_owned(), of: holder.of.clone() });
        }
        flow.debounce = Some(Debounced { key, first });
    }
}
