//! Singletons: one execution of a key between its admission and its end. Another event is skipped, takes the place of the
//! older one, or waits for it.

use fastn_contract::flow::SingletonMode;
use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::{Flow, Gate};
use serde_json::Value;

use super::Holder;
use crate::processor::machine::Machine;
use crate::processor::machine::finish::{End, code_error};

impl Machine {
    /// Why a singleton lets an event start nothing.
    pub(super) fn singleton_skips(&self, holder: &Holder<'_>, data: &Value) -> Option<String> {
        let Some((SingletonMode::Skip, key)) = &holder.flow.singleton else { return None };
        let live = self.flow.singletons.get(holder.key("singleton", key, data).as_str())?.first()?;
        Some(format!("skipped by the singleton of {}: {live} has not ended", holder.of))
    }

    /// Carries out a singleton for an event that starts an execution.
    pub(super) fn singleton_of(&mut self, holder: &Holder<'_>, data: &Value, flow: &mut Flow) {
        let Some((mode, key)) = &holder.flow.singleton else { return };
        let key = holder.key("singleton", key, data);
        match mode {
            SingletonMode::Skip => flow.singletons.push(key),
            SingletonMode::Cancel => {
                let older: Vec<ExecutionId> = self.flow.singletons.get(key.as_str()).cloned().unwrap_or_default();
                for id in older {
                    self.supersede(id, format!("a newer event took its place: the singleton of {}", holder.of));
                }
                flow.singletons.push(key);
            }
            SingletonMode::Queue => {
                flow.gates.push(Gate { key, limit: 1, name: "singleton".to_owned(), of: holder.of.clone() });
            }
        }
    }

    /// Cancels an execution and says why.
    pub(super) fn supersede(&mut self, id: ExecutionId, message: String) {
        let mut error = code_error("cancelled", "Superseded", message);
        error.code = fastn_contract::error::ErrorCode::WorkflowCancelled.as_str().to_owned();
        self.end_with(id, End::Superseded(error), Vec::new());
    }
}
