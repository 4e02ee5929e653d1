//! The document's examples are what the types of the contract read and write.

use std::collections::BTreeSet;

use fastn_contract::activity::{DeadLetterView, EventView, ExecutionView, Health};
use fastn_contract::alert::{AlertRule, AlertTested, AlertView, SilenceAlert};
use fastn_contract::app::{App, AppAccepted, SendAppEvent, SubscriptionView};
use fastn_contract::command::{
    Accepted, DeadLettersReplayed, Decision, DeployVersion, PublishVersion, ReplayDeadLetters, ReplayExecution,
    RunAnswer, RunWorkflow, SendEvent,
};
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::page::Page;
use fastn_contract::poll::{PollView, PollsAsked};
use fastn_contract::privacy::{ErasureView, RetentionSettings};
use fastn_contract::quota::{CurrentUsage, CustomerTier, Plan, QuotaSettings, UsageRow};
use fastn_contract::replay::{ReplayPreview, ReplayView, StartReplay};
use fastn_contract::resource::{
    CapturedToken, Customer, Deployment, EnvConfig, SecretView, SecretWrite, Stored, Trigger, TriggerView, VersionView,
    Workflow,
};
use fastn_contract::schedule::{BackfillSchedule, ChangeStatus, ScheduleFired, ScheduleView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads a value as `T` and writes it again.
fn again<T: DeserializeOwned + Serialize>(value: &Value) -> serde_json::Result<Value> {
    serde_json::to_value(serde_json::from_value::<T>(value.clone())?)
}

/// [`again`] as the type that a schema is made of.
fn again_as(schema: &str, value: &Value) -> serde_json::Result<Value> {
    match schema {
        "Accepted" => again::<Accepted>(value),
        "AlertRule" => again::<AlertRule>(value),
        "AlertTested" => again::<AlertTested>(value),
        "AlertView" => again::<AlertView>(value),
        "App" => again::<App>(value),
        "AppAccepted" => again::<AppAccepted>(value),
        "BackfillSchedule" => again::<BackfillSchedule>(value),
        "CapturedToken" => again::<CapturedToken>(value),
        "ChangeStatus" => again::<ChangeStatus>(value),
        "CurrentUsage" => again::<CurrentUsage>(value),
        "Customer" => again::<Customer>(value),
        "CustomerTier" => again::<CustomerTier>(value),
        "DeadLetterView" => again::<DeadLetterView>(value),
        "DeadLettersReplayed" => again::<DeadLettersReplayed>(value),
        "Decision" => again::<Decision>(value),
        "DeployVersion" => again::<DeployVersion>(value),
        "EnvConfig" => again::<EnvConfig>(value),
        "ErasureView" => again::<ErasureView>(value),
        "EventView" => again::<EventView>(value),
        "ExecutionView" => again::<ExecutionView>(value),
        "Health" => again::<Health>(value),
        "Page_AlertView" => again::<Page<AlertView>>(value),
        "Page_DeadLetterView" => again::<Page<DeadLetterView>>(value),
        "Page_ErasureView" => again::<Page<ErasureView>>(value),
        "Page_EventView" => again::<Page<EventView>>(value),
        "Page_ExecutionView" => again::<Page<ExecutionView>>(value),
        "Page_PollView" => again::<Page<PollView>>(value),
        "Page_ReplayView" => again::<Page<ReplayView>>(value),
        "Page_ScheduleView" => again::<Page<ScheduleView>>(value),
        "Page_SecretView" => again::<Page<SecretView>>(value),
        "Page_Stored_AlertRule" => again::<Page<Stored<AlertRule>>>(value),
        "Page_Stored_App" => again::<Page<Stored<App>>>(value),
        "Page_Stored_Customer" => again::<Page<Stored<Customer>>>(value),
        "Page_Stored_CustomerTier" => again::<Page<Stored<CustomerTier>>>(value),
        "Page_Stored_Deployment" => again::<Page<Stored<Deployment>>>(value),
        "Page_Stored_EnvConfig" => again::<Page<Stored<EnvConfig>>>(value),
        "Page_Stored_Plan" => again::<Page<Stored<Plan>>>(value),
        "Page_Stored_Workflow" => again::<Page<Stored<Workflow>>>(value),
        "Page_TriggerView" => again::<Page<TriggerView>>(value),
        "Page_UsageRow" => again::<Page<UsageRow>>(value),
        "Page_VersionView" => again::<Page<VersionView>>(value),
        "Plan" => again::<Plan>(value),
        "PollsAsked" => again::<PollsAsked>(value),
        "PublishVersion" => again::<PublishVersion>(value),
        "QuotaSettings" => again::<QuotaSettings>(value),
        "ReplayDeadLetters" => again::<ReplayDeadLetters>(value),
        "ReplayExecution" => again::<ReplayExecution>(value),
        "ReplayPreview" => again::<ReplayPreview>(value),
        "ReplayView" => again::<ReplayView>(value),
        "RetentionSettings" => again::<RetentionSettings>(value),
        "RunAnswer" => again::<RunAnswer>(value),
        "RunWorkflow" => again::<RunWorkflow>(value),
        "ScheduleFired" => again::<ScheduleFired>(value),
        "ScheduleView" => again::<ScheduleView>(value),
        "SecretView" => again::<SecretView>(value),
        "SecretWrite" => again::<SecretWrite>(value),
        "SendAppEvents" => again::<SendAppEvent>(value),
        "SendEvents" => again::<SendEvent>(value),
        "SilenceAlert" => again::<SilenceAlert>(value),
        "StartReplay" => again::<StartReplay>(value),
        "Stored_AlertRule" => again::<Stored<AlertRule>>(value),
        "Stored_App" => again::<Stored<App>>(value),
        "Stored_Customer" => again::<Stored<Customer>>(value),
        "Stored_CustomerTier" => again::<Stored<CustomerTier>>(value),
        "Stored_Deployment" => again::<Stored<Deployment>>(value),
        "Stored_EnvConfig" => again::<Stored<EnvConfig>>(value),
        "Stored_Plan" => again::<Stored<Plan>>(value),
        "Stored_QuotaSettings" => again::<Stored<QuotaSettings>>(value),
        "Stored_Workflow" => again::<Stored<Workflow>>(value),
        "SubscriptionView" => again::<SubscriptionView>(value),
        "Trigger" => again::<Trigger>(value),
        "TriggerView" => again::<TriggerView>(value),
        "VersionView" => again::<VersionView>(value),
        "Workflow" => again::<Workflow>(value),
        "Problem" => again::<Problem>(value),
        // CloudEvents are read by the ingest role, which takes them in `examples_do_what_they_show`.
        "CloudEvent" | "CloudEvents" => Ok(value.clone()),
        _ => panic!("{schema} has an example and no type here"),
    }
}

/// Whether `part` is within `whole`: what is written again may have defaults beside it.
fn is_within(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|there| is_within(value, there)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (Value::Number(part), Value::Number(whole)) => part.as_f64() == whole.as_f64(),
        _ => part == whole,
    }
}

/// Property: every body that is sent and every good answer has an example, and each is what its type reads and writes:
/// nothing of it is lost.
#[test]
fn every_body_has_an_example_of_its_type() {
    let document = fastn_server::api::document();
    let mut missing = Vec::new();
    let mut used = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let id = operation["operationId"].as_str().unwrap();
        let answers = operation["responses"].as_object().unwrap().iter();
        // Problems are shared, and have a test of their own.
        let own = answers.filter(|(_, answer)| answer.get("$ref").is_none());
        let own = own.map(|(status, answer)| (status.as_str(), answer));
        let bodies = own.chain(operation.get("requestBody").map(|body| ("body", body)));
        for (what, body) in bodies {
            for (media, content) in body["content"].as_object().into_iter().flatten() {
                let Some((name, example)) = content["examples"].as_object().and_then(|all| all.iter().next()) else {
                    if content.get("example").is_none() {
                        missing.push(format!("{id} {what} {media}"));
                    }
                    continue;
                };
                let example = document.pointer(example["$ref"].as_str().unwrap().trim_start_matches('#')).unwrap();
                used.insert(name.clone());
                let Some(schema) = content["schema"]["$ref"].as_str().and_then(|to| to.rsplit('/').next()) else {
                    continue;
                };
                let value = &example["value"];
                match again_as(schema, value) {
                    Ok(written) => assert!(is_within(value, &written), "{id} {what}: {value} becomes {written}"),
                    Err(error) => panic!("{id} {what}: {schema}: {error}"),
                }
            }
        }
    }
    assert_eq!(missing, Vec::<String>::new());
    for name in document["components"]["examples"].as_object().unwrap().keys() {
        let code = ErrorCode::ALL.iter().any(|code| code.as_str() == name);
        assert!(code || used.contains(name), "{name} is the example of nothing");
    }
}

/// Property: every code of the table can be answered by an operation, but for those that no operation has; each has an
/// example that is a problem of that code, and every error answer shows the examples of all its codes.
#[test]
fn every_code_is_told() {
    let document = fastn_server::api::document();
    let examples = &document["components"]["examples"];
    let mut told = BTreeSet::new();
    for operation in document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
    {
        let codes: BTreeSet<&str> =
            operation["x-fastn-codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect();
        let mut shown = BTreeSet::new();
        for (status, answer) in operation["responses"].as_object().unwrap() {
            let Some(to) = answer["$ref"].as_str() else { continue };
            let answer = document.pointer(to.trim_start_matches('#')).unwrap();
            assert!(!answer["description"].as_str().unwrap().is_empty());
            for code in answer["content"]["application/problem+json"]["examples"].as_object().unwrap().keys() {
                assert_eq!(examples[code]["value"]["status"].to_string(), *status, "{code}");
                shown.insert(code.as_str());
            }
        }
        assert_eq!(codes, shown, "{}", operation["operationId"]);
        told.extend(codes.into_iter().map(str::to_owned));
    }
    let untold: Vec<&str> =
        ErrorCode::ALL.iter().map(|code| code.as_str()).filter(|code| !told.contains(*code)).collect();
    assert_eq!(untold, ["METHOD_NOT_ALLOWED", "UPSTREAM_ERROR"]);
    for code in told {
        let problem: Problem = serde_json::from_value(examples[&code]["value"].clone()).unwrap();
        assert_eq!((json!(problem.code), problem.code.status()), (json!(code), problem.status));
    }
}
