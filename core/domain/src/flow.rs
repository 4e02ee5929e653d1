//! Flow control checked once, with its paths parsed; and the keys that it makes of an event. Pure.

use std::time::Duration;

use fastn_contract::error::FieldError;
use fastn_contract::flow::{FLOW_BATCH_SIZE_MAX, FLOW_LIMIT_MAX, FLOW_MS_MAX, FlowControl, Priority, SingletonMode};
use serde_json::Value;

use crate::path::Path;

/// Longest value of a key that stands for itself; a longer one is named by its hash.
const KEY_BYTES_MAX: usize = 120;

/// Whose flow control it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A trigger's.
    Trigger,
    /// A workflow's: its executions have events of any form, or none, so it neither debounces nor batches.
    Workflow,
}

/// A key that is the same for all without a path.
#[derive(Clone, Debug, Default)]
pub struct Key(Option<Path>);

impl Key {
    /// The value of this key in a payload as text: JSON, or nothing where the payload has none.
    pub fn of(&self, data: &Value) -> String {
        let Some(path) = &self.0 else { return String::new() };
        let text = path.find(data).map(Value::to_string).unwrap_or_default();
        if text.len() <= KEY_BYTES_MAX { text } else { blake3::hash(text.as_bytes()).to_hex().to_string() }
    }
}

/// See [`FlowControl`].
#[derive(Clone, Debug)]
pub struct CompiledFlow {
    /// One at a time, and what becomes of another.
    pub singleton: Option<(SingletonMode, Key)>,
    /// So many at once.
    pub concurrency: Option<(u32, Key)>,
    /// So many in a period.
    pub rate: Option<(u32, Duration, Key)>,
    /// Pause and longest wait.
    pub debounce: Option<(Duration, Option<Duration>, Key)>,
    /// Size and longest wait.
    pub batch: Option<(u32, Duration, Key)>,
    /// The lane.
    pub priority: Option<Priority>,
}

impl CompiledFlow {
    /// Checks `flow` as a whole and compiles it.
    ///
    /// # Errors
    /// Every part that is not valid, with its path into the body.
    pub fn compile(flow: &FlowControl, holder: Holder) -> Result<Self, Vec<FieldError>> {
        let mut check = Check { errors: Vec::new() };
        let singleton = flow.singleton.as_ref().map(|one| (one.mode, check.key("singleton", &one.key)));
        let concurrency = flow.concurrency.as_ref().map(|one| {
            check.within("concurrency.limit", u64::from(one.limit), u64::from(FLOW_LIMIT_MAX));
            (one.limit, check.key("concurrency", &one.key))
        });
        let rate = flow.rate.as_ref().map(|one| {
            check.within("rate.limit", u64::from(one.limit), u64::from(FLOW_LIMIT_MAX));
            (one.limit, check.time("rate.periodMs", one.period_ms), check.key("rate", &one.key))
        });
        let debounce = flow.debounce.as_ref().map(|one| {
            let most = one.max_wait_ms.map(|ms| check.time("debounce.maxWaitMs", ms));
            (check.time("debounce.periodMs", one.period_ms), most, check.key("debounce", &one.key))
        });
        let batch = flow.batch.as_ref().map(|one| {
            check.within("batch.maxSize", u64::from(one.max_size), u64::from(FLOW_BATCH_SIZE_MAX));
            (one.max_size, check.time("batch.maxWaitMs", one.max_wait_ms), check.key("batch", &one.key))
        });
        if debounce.is_some() && batch.is_some() {
            check.complain("batch", "a trigger either debounces or batches".to_owned());
        }
        if batch.is_some() {
            for (part, there) in [("singleton", singleton.is_some()), ("rate", rate.is_some())] {
                if there {
                    check.complain(part, "is for single events: a trigger that batches has none".to_owned());
                }
            }
        }
        if holder == Holder::Workflow {
            for (part, there) in [("debounce", debounce.is_some()), ("batch", batch.is_some())] {
                if there {
                    check.complain(part, "belongs to a trigger: a workflow has none".to_owned());
                }
            }
        }
        let priority = flow.priority;
        let compiled = Self { singleton, concurrency, rate, debounce, batch, priority };
        if check.errors.is_empty() { Ok(compiled) } else { Err(check.errors) }
    }

    /// Whether what becomes of an event depends on executions that others of the same run of events start.
    pub fn looks_at_others(&self) -> bool {
        self.singleton.is_some() || self.debounce.is_some() || self.batch.is_some()
    }
}

struct Check {
    errors: Vec<FieldError>,
}

impl Check {
    fn complain(&mut self, part: &str, message: String) {
        self.errors.push(FieldError { path: format!("flow.{part}"), message });
    }

    fn within(&mut self, part: &str, value: u64, most: u64) {
        if value == 0 || value > most {
            self.complain(part, format!("must be 1 to {most}"));
        }
    }

    fn time(&mut self, part: &str, ms: u64) -> Duration {
        self.within(part, ms, FLOW_MS_MAX);
        Duration::from_millis(ms)
    }

    fn key(&mut self, part: &str, text: &Option<String>) -> Key {
        let Some(text) = text else { return Key(None) };
        match Path::parse(text) {
            Ok(path) => Key(Some(path)),
            Err(error) => {
                self.complain(&format!("{part}.key"), error.to_string());
                Key(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compile(body: Value, holder: Holder) -> Result<CompiledFlow, Vec<String>> {
        let flow: FlowControl = serde_json::from_value(body).unwrap();
        CompiledFlow::compile(&flow, holder)
            .map_err(|errors| errors.into_iter().map(|error| error.path).collect::<Vec<_>>())
    }

    /// Property: every bad part is named with its path.
    #[test]
    fn complains_about_every_part() {
        let all = json!({
            "singleton": {"mode": "skip", "key": "a..b"}, "concurrency": {"limit": 0},
            "rate": {"limit": 1, "periodMs": 0}, "debounce": {"periodMs": 1, "maxWaitMs": 86_400_001},
            "batch": {"maxSize": 1_001, "maxWaitMs": 1}
        });
        let paths = compile(all, Holder::Workflow).unwrap_err();
        let expected = [
            "flow.singleton.key",
            "flow.concurrency.limit",
            "flow.rate.periodMs",
            "flow.debounce.maxWaitMs",
            "flow.batch.maxSize",
            "flow.batch",
            "flow.singleton",
            "flow.rate",
            "flow.debounce",
            "flow.batch",
        ];
        assert_eq!(paths, expected);
        assert!(compile(json!({"batch": {"maxSize": 5, "maxWaitMs": 10}}), Holder::Trigger).is_ok());
    }

    /// Property: a key tells values apart, is the same for all where there is none, and never grows beyond its limit.
    #[test]
    fn keys() {
        let flow = compile(json!({"concurrency": {"limit": 1, "key": "a.b"}}), Holder::Trigger).unwrap();
        let key = &flow.concurrency.unwrap().1;
        assert_eq!(key.of(&json!({"a": {"b": 1}})), "1");
        assert_eq!(key.of(&json!({"a": {"b": "1"}})), "\"1\"");
        assert_eq!(key.of(&json!({})), "");
        let long = |c: &str| key.of(&json!({"a": {"b": c.repeat(500)}}));
        assert!(long("x").len() <= KEY_BYTES_MAX && long("x") != long("y"));
    }
}
