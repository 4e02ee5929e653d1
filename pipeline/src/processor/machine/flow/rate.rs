//! Rates: so many starts of a key in a period. An execution is given a period with room when its event is admitted, and
//! waits for it. What was due while nobody ran the partition starts when somebody does again.

use fastn_domain::event::EventRecord;
use fastn_domain::journal::{Count, Flow, HeldBy};
use serde_json::Value;

use super::Holder;
use crate::processor::machine::Machine;

impl Machine {
    /// Counts an execution in the first period that has room, not before what holds it back already.
    pub(super) fn rate_of(
        &mut self,
        holder: &Holder<'_>,
        data: &Value,
        event: &EventRecord,
        flow: &mut Flow,
        counts: &mut Vec<Count>,
    ) {
        let Some((limit, period, key)) = &holder.flow.rate else { return };
        let counter = holder.key("rate", key, data);
        let at = flow.not_before.map_or(self.now, |at| at.max(self.now));
        let window = self.flow.counters.room(&event.scope, &counter, at, *period, u64::from(*limit));
        let scope = self.interned.scope(&event.scope);
        self.flow.counters.count(&scope, &counter, window, self.next_seq);
        if window.start > at {
            flow.not_before = Some(window.start);
            flow.limit = Some(HeldBy { limit: "rate".to_owned(), of: holder.of.clone() });
        }
        counts.push(Count { counter, from: window.start, to: window.end });
    }
}
