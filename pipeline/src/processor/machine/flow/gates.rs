//! Gates: concurrency for each key, and singletons that queue (a gate for one). An execution takes room in all of its
//! gates when it starts, keeps it while it sleeps and between attempts, and gives it back at its end.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Flow, Gate};
use serde_json::Value;

use super::Holder;

/// Who is inside each gate and who waits before it, in order.
#[derive(Debug, Default)]
pub(in super::super) struct Gates {
    lines: HashMap<Arc<str>, Line>,
}

#[derive(Debug, Default)]
struct Line {
    limit: usize,
    inside: HashSet<ExecutionId>,
    waiting: VecDeque<ExecutionId>,
    /// The newest record by which somebody left.
    freed: u64,
}

impl Line {
    fn has_room(&self) -> bool {
        self.inside.len() < self.limit
    }
}

/// The gates that a holder's concurrency makes.
pub(super) fn concurrency_of(holder: &Holder<'_>, data: &Value, flow: &mut Flow) {
    let Some((limit, key)) = &holder.flow.concurrency else { return };
    let key = holder.key("concurrency", key, data);
    flow.gates.push(Gate { key, limit: *limit, name: "concurrency".to_owned(), of: holder.of.clone() });
}

impl Gates {
    /// Takes room in all of `gates`, or a place in the line of the first that has none. Inside, the newest record that its
    /// effects depend on. Nobody passes those who wait already, but for one whose `turn` at a gate has come.
    pub(super) fn enter(&mut self, gates: &[Gate], id: ExecutionId, turn: Option<&str>) -> Option<u64> {
        for gate in gates {
            let line = self.line(gate);
            let passes = line.waiting.is_empty() || turn == Some(gate.key.as_str());
            if !line.has_room() || !passes {
                line.waiting.push_back(id);
                return None;
            }
        }
        let mut freed = 0;
        for gate in gates {
            let line = self.line(gate);
            line.inside.insert(id);
            freed = freed.max(line.freed);
        }
        Some(freed)
    }

    /// Puts one inside that had begun before a crash, whatever the limit is now.
    pub(in super::super) fn hold(&mut self, gates: &[Gate], id: ExecutionId) {
        for gate in gates {
            self.line(gate).inside.insert(id);
        }
    }

    fn line(&mut self, gate: &Gate) -> &mut Line {
        let line = match self.lines.contains_key(gate.key.as_str()) {
            true => self.lines.get_mut(gate.key.as_str()),
            false => Some(self.lines.entry(Arc::from(gate.key.as_str())).or_default()),
        };
        let line = line.expect("it was there, or was just made");
        line.limit = gate.limit.max(1) as usize;
        line
    }

    /// Leaves the line.
    pub(super) fn give_up(&mut self, gates: &[Gate], id: ExecutionId) {
        for gate in gates {
            if let Some(line) = self.lines.get_mut(gate.key.as_str()) {
                line.waiting.retain(|other| *other != id);
            }
            self.forget_empty(&gate.key);
        }
    }

    /// Gives the room back with the record `seq`.
    pub(super) fn leave(&mut self, gates: &[Gate], id: ExecutionId, seq: u64) {
        for gate in gates {
            if let Some(line) = self.lines.get_mut(gate.key.as_str()) {
                line.inside.remove(&id);
                line.freed = line.freed.max(seq);
            }
        }
    }

    /// The next that may try again, taken out of the line, if there is room for it.
    pub(super) fn next_of(&mut self, key: &str) -> Option<ExecutionId> {
        let line = self.lines.get_mut(key)?;
        let next = if line.has_room() { line.waiting.pop_front() } else { None };
        if next.is_none() {
            self.forget_empty(key);
        }
        next
    }

    fn forget_empty(&mut self, key: &str) {
        if self.lines.get(key).is_some_and(|line| line.inside.is_empty() && line.waiting.is_empty()) {
            self.lines.remove(key);
        }
    }

    /// Executions inside any gate, for audits.
    pub(in super::super) fn inside(&self) -> usize {
        self.lines.values().map(|line| line.inside.len()).sum()
    }

    /// Gates with more inside than fit, for audits of what never changes its limits.
    pub(in super::super) fn overfull(&self) -> usize {
        self.lines.values().filter(|line| line.inside.len() > line.limit).count()
    }

    /// Executions before any gate.
    pub(in super::super) fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(key: &str, limit: u32) -> Gate {
        Gate { key: key.to_owned(), limit, name: "concurrency".to_owned(), of: "trigger t".to_owned() }
    }

    /// Property: no more than the limit are inside, whoever waits comes in in order, and nothing is left behind.
    #[test]
    fn in_order_and_no_more_than_fit() {
        let mut gates = Gates::default();
        let two = [gate("a", 2)];
        let [a, b, c, d] = [1, 2, 3, 4].map(ExecutionId);
        assert_eq!((gates.enter(&two, a, None), gates.enter(&two, b, None)), (Some(0), Some(0)));
        assert_eq!((gates.enter(&two, c, None), gates.enter(&two, d, None)), (None, None));
        assert_eq!(gates.next_of("a"), None);
        gates.leave(&two, a, 7);
        assert_eq!(gates.next_of("a"), Some(c));
        assert_eq!(gates.enter(&two, ExecutionId(5), None), None, "nobody passes d");
        assert_eq!(gates.enter(&two, c, Some("a")), Some(7), "whose turn it is passes d");
        gates.give_up(&two, d);
        gates.give_up(&two, ExecutionId(5));
        for id in [b, c] {
            gates.leave(&two, id, 8);
        }
        assert_eq!(gates.next_of("a"), None);
        assert!(gates.lines.is_empty());
    }

    /// Property: room is taken in all gates or in none.
    #[test]
    fn all_or_none() {
        let mut gates = Gates::default();
        assert_eq!(gates.enter(&[gate("b", 1)], ExecutionId(1), None), Some(0));
        assert_eq!(gates.enter(&[gate("a", 1), gate("b", 1)], ExecutionId(2), None), None);
        assert_eq!(gates.enter(&[gate("a", 1)], ExecutionId(3), None), Some(0), "2 took no room at a");
    }
}
