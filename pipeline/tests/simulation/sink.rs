//! Where the calls arrive. No two answers are the same, so that a result computed again shows in every body after it.

use std::collections::{HashMap, HashSet};

use fastn_domain::ids::ExecutionId;
use fastn_domain::journal::OpFailure;
use fastn_pipeline::processor::machine::{CallRequest, CallTarget};
use fastn_pipeline::runtime::{FetchBody, OpKind};

use crate::random::Random;

/// What the sink knows.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    bodies: HashMap<String, String>,
    /// Ops whose result a later call has shown, by execution.
    used: HashSet<(ExecutionId, String)>,
    /// First call of each execution, in order of arrival.
    pub(crate) order: Vec<ExecutionId>,
    answers: u64,
}

impl Sink {
    /// A call arrives. One of a writer that has lost its partition must carry a known form of key, and proves no more.
    pub(crate) fn call(&mut self, call: &CallRequest, zombie: bool, random: &mut Random) -> Result<String, OpFailure> {
        let CallTarget::Http { request: OpKind::Fetch { body, .. }, .. } = &call.target else {
            return Ok("{}".to_owned());
        };
        let body = match body {
            Some(FetchBody::Text(text)) => text.clone(),
            _ => String::new(),
        };
        assert_eq!(call.idempotency_key, format!("{}/{}", call.execution, call.key), "the key is not the step's");
        if !zombie {
            self.check(call, &body);
        }
        self.answers += 1;
        if random.chance(12) {
            let code = format!("E{}", self.answers);
            return Err(OpFailure { name: "FetchError".to_owned(), message: "no".to_owned(), code, retryable: true });
        }
        Ok(self.answers.to_string())
    }

    fn check(&mut self, call: &CallRequest, body: &str) {
        if !self.order.contains(&call.execution) {
            self.order.push(call.execution);
        }
        let known = self.bodies.entry(call.idempotency_key.clone()).or_insert_with(|| body.to_owned());
        assert_eq!(known, body, "key {} came with two bodies", call.idempotency_key);
        let again = self.used.contains(&(call.execution, call.key.clone()));
        assert!(!again, "{} of {} was called again after a later call had shown its result", call.key, call.execution);
        for shown in body.split(',').filter(|shown| !shown.is_empty()) {
            let key = shown.split(['=', '!', '?']).next().unwrap_or_default();
            self.used.insert((call.execution, key.to_owned()));
        }
    }
}
