//! The scenarios that every SDK runs (`tests/scenarios/README.md`), by the client for Rust.

mod call;
mod pattern;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use fastn_sdk::{Error, Fastn};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::DEADLINE;
use crate::process::repository;

/// How long a step may take that is done until it is as told.
const UNTIL: Duration = Duration::from_secs(60);

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The property that it shows.
    pub about: String,
    steps: Vec<Step>,
}

/// One call and what must become of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Step {
    #[serde(rename = "do")]
    operation: String,
    #[serde(default, rename = "as")]
    customer: Option<String>,
    #[serde(default)]
    args: Vec<Value>,
    #[serde(default)]
    filters: Map<String, Value>,
    #[serde(default)]
    take: Option<usize>,
    #[serde(default)]
    idempotency_key: Option<String>,
    #[serde(default)]
    expect: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
    #[serde(default)]
    until: bool,
    #[serde(default)]
    save: BTreeMap<String, String>,
}

/// A call, with its variables filled in.
struct Call {
    operation: String,
    customer: Option<String>,
    args: Vec<Value>,
    filters: Map<String, Value>,
    take: usize,
    idempotency_key: Option<String>,
}

/// What became of a call that is no error of the test itself.
type Outcome = Result<Value, Value>;

/// Every scenario by its file's name.
///
/// # Errors
/// A file does not read.
pub fn all() -> anyhow::Result<BTreeMap<String, Scenario>> {
    let mut found = BTreeMap::new();
    for file in std::fs::read_dir(repository().join("tests/scenarios"))? {
        let path = file?.path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.insert(name, read(&path)?);
        }
    }
    ensure!(!found.is_empty(), "there are no scenarios");
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<Scenario> {
    serde_json::from_slice(&std::fs::read(path)?).with_context(|| format!("read {}", path.display()))
}

impl Scenario {
    /// The operations that it calls, and helpers.
    pub fn operations(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().map(|step| step.operation.as_str())
    }

    /// Runs it with a client of the account.
    ///
    /// # Errors
    /// A step does not end as it must; which one, and how it ended.
    pub async fn run(&self, client: &Fastn, run: &str) -> anyhow::Result<()> {
        let names = [("run", run.to_owned()), ("RUN", run.to_ascii_uppercase())];
        let mut variables: BTreeMap<_, _> = names.map(|(name, value)| (name.to_owned(), Value::from(value))).into();
        for (n, step) in self.steps.iter().enumerate() {
            let done = step.run(client, &mut variables).await;
            done.with_context(|| format!("step {} ({}) of {:?}", n + 1, step.operation, self.about))?;
        }
        Ok(())
    }
}

impl Step {
    async fn run(&self, client: &Fastn, variables: &mut BTreeMap<String, Value>) -> anyhow::Result<()> {
        let fill = |value: &Value| pattern::fill(value, variables);
        let call = Call {
            operation: self.operation.clone(),
            customer: self.customer.as_ref().map(|name| pattern::text(name, variables)),
            args: self.args.iter().map(fill).collect(),
            filters: self.filters.iter().map(|(name, value)| (name.clone(), fill(value))).collect(),
            take: self.take.unwrap_or(100),
            idempotency_key: self.idempotency_key.as_ref().map(|key| pattern::text(key, variables)),
        };
        let (expect, error) = (self.expect.as_ref().map(fill), self.error.as_ref().map(fill));
        let began = Instant::now();
        let result = loop {
            let outcome = tokio::time::timeout(DEADLINE, call.make(client)).await.context("it does not end")??;
            match judge(&outcome, expect.as_ref(), error.as_ref()) {
                Ok(()) => break outcome.unwrap_or_default(),
                Err(_) if self.until && began.elapsed() < UNTIL => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        };
        for (name, path) in &self.save {
            let value = pattern::at(&result, path).with_context(|| format!("{path} is not in {result}"))?;
            variables.insert(name.clone(), value.clone());
        }
        Ok(())
    }
}

fn judge(outcome: &Outcome, expect: Option<&Value>, error: Option<&Value>) -> anyhow::Result<()> {
    match (outcome, error) {
        (Ok(result), None) => match expect.and_then(|expect| pattern::differs(expect, result, "")) {
            Some(how) => bail!("{how}; the result is {result}"),
            None => Ok(()),
        },
        (Err(failed), Some(error)) => match pattern::differs(error, failed, "") {
            Some(how) => bail!("{how}; the error is {failed}"),
            None => Ok(()),
        },
        (Ok(result), Some(error)) => bail!("it must fail with {error}, and answers {result}"),
        (Err(failed), None) => bail!("it fails: {failed}"),
    }
}

fn told(error: &Error) -> Value {
    let mut told = json!({"name": error.name(), "detail": error.detail});
    if let Some(code) = error.code {
        told["code"] = code.as_str().into();
    }
    if let Some(status) = error.status {
        told["status"] = status.into();
    }
    told
}
