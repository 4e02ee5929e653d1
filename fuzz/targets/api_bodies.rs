//! Bodies of the API: the first line names the kind, the rest is the body. What reads must read back the same.
#![no_main]

use fastn_contract::alert::AlertRule;
use fastn_contract::command::{Decision, ReplayExecution, RunWorkflow, SendEvent};
use fastn_contract::privacy::RetentionSettings;
use fastn_contract::replay::StartReplay;
use fastn_contract::resource::{Customer, Deployment, EnvConfig, SecretWrite, Trigger, Workflow, WorkflowVersion};
use fastn_domain::catalog::{compile_alert, compile_trigger};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|input: &str| {
    let (kind, body) = input.split_once('\n').unwrap_or(("trigger", input));
    match kind {
        "send_event" => drop(read::<SendEvent>(body)),
        "run_workflow" => drop(read::<RunWorkflow>(body)),
        "replay_execution" => drop(read::<ReplayExecution>(body)),
        "start_replay" => drop(read::<StartReplay>(body)),
        "retention" => drop(read::<RetentionSettings>(body)),
        "decision" => drop(read::<Decision>(body)),
        "workflow" => drop(read::<Workflow>(body)),
        "workflow_version" => drop(read::<WorkflowVersion>(body)),
        "deployment" => drop(read::<Deployment>(body)),
        "customer" => drop(read::<Customer>(body)),
        "env_config" => drop(read::<EnvConfig>(body)),
        "secret" => drop(read::<SecretWrite>(body)),
        "alert_rule" => {
            if let Some(Err(errors)) = read::<AlertRule>(body).map(compile_alert) {
                assert!(!errors.is_empty());
            }
        }
        _ => {
            let Some(trigger) = read::<Trigger>(body) else { return };
            match compile_trigger(trigger.clone()) {
                Ok(compiled) => assert_eq!(compiled.routes.len(), trigger.routes.len()),
                Err(errors) => assert!(!errors.is_empty()),
            }
        }
    }
});

fn read<T: DeserializeOwned + Serialize>(body: &str) -> Option<T> {
    let value: T = serde_json::from_str(body).ok()?;
    let written = serde_json::to_string(&value).expect("what was read can be written");
    let again: T = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(serde_json::to_string(&again).expect("and written again"), written);
    Some(value)
}
