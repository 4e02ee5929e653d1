//! What the end of an execution says to rules: the execution itself, and the calls that it made.

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::catalog::CompiledAlert;
use fastn_domain::journal::{Finished, FinishedRun, StepRecord};
use serde::Deserialize;

use super::window::Sample;

/// Whether a rule is about this execution, calls aside.
pub(crate) fn concerns(rule: &CompiledAlert, record: &Finished, run: &FinishedRun) -> bool {
    rule.customer.as_ref().is_none_or(|customer| *customer == record.scope.customer)
        && rule.spec.workflow.as_deref().is_none_or(|workflow| workflow == run.workflow.as_str())
}

/// The execution as a sample. One that was cancelled says nothing of how things go.
pub(crate) fn execution(record: &Finished, run: &FinishedRun) -> Option<Sample> {
    let failed = match record.status {
        ExecutionStatus::Completed => false,
        ExecutionStatus::Failed | ExecutionStatus::Timeout => true,
        _ => return None,
    };
    Some(Sample { at: record.at, ms: record.at.since(run.admitted).as_secs_f64() * 1_000.0, failed })
}

/// The calls of the execution to `connector`. A call failed if it had no answer or one of the 500s.
pub(crate) fn calls<'r>(record: &'r Finished, connector: &'r str) -> impl Iterator<Item = Sample> + 'r {
    record.steps.iter().filter(move |step| is_call_to(step, connector)).map(|step| Sample {
        at: step.ended,
        ms: step.ended.since(step.started).as_secs_f64() * 1_000.0,
        failed: !step.completed || answered_500(step),
    })
}

#[derive(Deserialize)]
struct Asked {
    url: String,
}

#[derive(Deserialize)]
struct Answered {
    status: u32,
}

fn is_call_to(step: &StepRecord, connector: &str) -> bool {
    match step.kind.as_str() {
        "fetch" => host(step).is_some_and(|host| host.eq_ignore_ascii_case(connector)),
        "connector" => step.name.split_once('.').is_some_and(|(slug, _)| slug == connector),
        _ => false,
    }
}

/// The host that a `fetch` went to.
fn host(step: &StepRecord) -> Option<String> {
    let asked: Asked = serde_json::from_str(step.input.as_deref()?).ok()?;
    url::Url::parse(&asked.url).ok()?.host_str().map(str::to_owned)
}

/// Whether the answer, as far as it was kept, has a status of 500 or above.
fn answered_500(step: &StepRecord) -> bool {
    let answered = step.output.as_deref().and_then(|output| serde_json::from_str::<Answered>(output).ok());
    answered.is_some_and(|answered| answered.status >= 500)
}
