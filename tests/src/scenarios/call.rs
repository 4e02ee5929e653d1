//! A call by the name of its operation. Arguments go through the client's types, so that these are tried too.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, bail};
use fastn_sdk::contract::command::{RunWorkflow, SendEvent};
use fastn_sdk::{BatchOptions, Batcher, CustomerClient, Error, Fastn, Follow, Pager, Update, webhook};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Call, Outcome, told};

/// Answers the call as an outcome.
macro_rules! answer {
    ($call:expr) => {
        outcome($call.await)
    };
}

/// Makes a body of the argument; one that the client's types refuse is refused as the server would.
macro_rules! body {
    ($self:ident, $at:expr) => {
        match $self.body($at) {
            Ok(body) => body,
            Err(refused) => return Ok(Err(refused)),
        }
    };
}

impl Call {
    pub(super) async fn make(&self, client: &Fastn) -> anyhow::Result<Outcome> {
        let account = match &self.idempotency_key {
            Some(key) => client.with_idempotency_key(key),
            None => client.clone(),
        };
        let Some(customer) = &self.customer else { return self.of_account(&account).await };
        let customer = account.customer(customer);
        match self.operation.as_str() {
            "sendEvents" if self.args[0].is_array() => answer!(customer.send_many(&{
                let events: Vec<SendEvent> = body!(self, 0);
                events
            })),
            "sendEvents" => answer!(customer.send(&body!(self, 0))),
            "runWorkflow" => {
                let environment = self.filters.get("environment").and_then(Value::as_str).map(str::to_owned);
                answer!(customer.run_in(self.text(0)?, &RunWorkflow { input: self.value(1), environment }))
            }
            "runAndWait" => answer!(customer.run_and_wait(self.text(0)?, self.value(1), self.seconds(2)?)),
            "follow" => follow(&customer, self.text(0)?).await,
            _ => self.of_account(&customer).await,
        }
    }

    async fn of_account(&self, client: &Fastn) -> anyhow::Result<Outcome> {
        match self.operation.as_str() {
            "readiness" => answer!(client.health()),
            "wait" => answer!(client.wait(self.text(0)?, self.seconds(1)?)),
            "batch" => batch(client, self.text(0)?, &self.value(1)).await,
            "verifyWebhook" => self.verify_webhook(),
            "sendAppEvents" => answer!(client.send_app_event(&body!(self, 0))),
            "receiveWebhook" => {
                let headers: Vec<(String, String)> = text_fields(&self.value(1));
                let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
                answer!(client.send_webhook(self.text(0)?, &headers, self.text(2)?.to_owned()))
            }
            "listEvents" => self.rows(client.events()).await,
            "getEvent" => answer!(client.event(self.text(0)?)),
            "replayEvent" => answer!(client.replay_event(self.text(0)?)),
            "listExecutions" => self.rows(client.executions()).await,
            "getExecution" => answer!(client.execution(self.text(0)?)),
            "cancelExecution" => answer!(client.cancel(self.text(0)?)),
            "replayExecution" => answer!(client.replay(self.text(0)?, &body!(self, 1))),
            "decideApproval" => answer!(client.decide(self.text(0)?, &body!(self, 1))),
            "listDeadLetters" => self.rows(client.dead_letters()).await,
            "getDeadLetter" => answer!(client.dead_letter(self.text(0)?)),
            "replayDeadLetter" => answer!(client.replay_dead_letter(self.text(0)?, &body!(self, 1))),
            "replayDeadLetters" => answer!(client.replay_dead_letters(&body!(self, 0))),
            "previewReplay" => answer!(client.preview_replay(&body!(self, 0))),
            "startReplay" => answer!(client.start_replay(&body!(self, 0))),
            "listReplays" => self.rows(client.replays()).await,
            "getReplay" => answer!(client.replay_job(self.text(0)?)),
            "cancelReplay" => answer!(client.cancel_replay(self.text(0)?)),
            "listUsage" => self.rows(client.usage()).await,
            "getCurrentUsage" => answer!(client.current_usage()),
            "listAlerts" => self.rows(client.alerts()).await,
            "getAlert" => answer!(client.alert(self.text(0)?)),
            _ => self.of_customers(client).await,
        }
    }

    async fn of_customers(&self, client: &Fastn) -> anyhow::Result<Outcome> {
        match self.operation.as_str() {
            "listCustomers" => self.rows(client.customers()).await,
            "getCustomer" => answer!(client.get_customer(self.text(0)?)),
            "putCustomer" => answer!(client.put_customer(&body!(self, 0))),
            "deleteCustomer" => answer!(client.delete_customer(self.text(0)?)),
            "exportCustomer" => {
                let pieces = match client.export_customer(self.text(0)?).await {
                    Ok(pieces) => pieces.map_ok(|piece| piece.to_vec()).try_concat().await,
                    Err(error) => Err(error),
                };
                let text = pieces.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                outcome(text.map(|text| {
                    text.lines().map(|line| serde_json::from_str(line).unwrap_or(Value::Null)).collect::<Vec<_>>()
                }))
            }
            "eraseCustomer" => answer!(client.erase_customer(self.text(0)?)),
            "listErasures" => self.rows(client.erasures()).await,
            "getErasure" => answer!(client.erasure(self.text(0)?)),
            "getRetention" => answer!(client.retention()),
            "putRetention" => answer!(client.put_retention(&body!(self, 0))),
            "listPlans" => self.rows(client.plans()).await,
            "getPlan" => answer!(client.plan(self.text(0)?)),
            "putPlan" => answer!(client.put_plan(&body!(self, 0))),
            "deletePlan" => answer!(client.delete_plan(self.text(0)?)),
            "listCustomerTiers" => self.rows(client.customer_tiers()).await,
            "getCustomerTier" => answer!(client.customer_tier(self.text(0)?)),
            "putCustomerTier" => answer!(client.put_customer_tier(&body!(self, 0))),
            "deleteCustomerTier" => answer!(client.delete_customer_tier(self.text(0)?)),
            "getQuotaSettings" => answer!(client.quota_settings()),
            "putQuotaSettings" => answer!(client.put_quota_settings(&body!(self, 0))),
            "listAlertRules" => self.rows(client.alert_rules()).await,
            "getAlertRule" => answer!(client.alert_rule(self.text(0)?)),
            "putAlertRule" => answer!(client.put_alert_rule(&body!(self, 0))),
            "deleteAlertRule" => answer!(client.delete_alert_rule(self.text(0)?)),
            "silenceAlertRule" => answer!(client.silence_alert_rule(self.text(0)?, self.text(1)?)),
            "unsilenceAlertRule" => answer!(client.unsilence_alert_rule(self.text(0)?)),
            "testAlertRule" => answer!(client.test_alert_rule(self.text(0)?)),
            _ => self.of_workflows(client).await,
        }
    }

    async fn of_workflows(&self, client: &Fastn) -> anyhow::Result<Outcome> {
        match self.operation.as_str() {
            "listWorkflows" => self.rows(client.workflows()).await,
            "getWorkflow" => answer!(client.workflow(self.text(0)?)),
            "putWorkflow" => answer!(client.put_workflow(&body!(self, 0))),
            "deleteWorkflow" => answer!(client.delete_workflow(self.text(0)?)),
            "listVersions" => self.rows(client.versions(self.text(0)?)).await,
            "getVersion" => answer!(client.version(self.text(0)?, self.number(1)?)),
            "publishVersion" => answer!(client.publish(self.text(0)?, &body!(self, 1))),
            "listDeployments" => self.rows(client.deployments(self.text(0)?)).await,
            "deployVersion" => answer!(client.deploy(self.text(0)?, self.text(1)?, self.number(2)?)),
            "listSecrets" => self.rows(client.secrets()).await,
            "putSecret" => answer!(client.put_secret(&body!(self, 0))),
            "deleteSecret" => answer!(client.delete_secret(self.text(0)?, self.filter("customer"))),
            "getCapturedToken" => answer!(client.captured_token(self.text(0)?, self.filter("customer"))),
            "listEnvConfigs" => self.rows(client.env_configs()).await,
            "putEnvConfig" => answer!(client.put_env_config(&body!(self, 0))),
            "deleteEnvConfig" => answer!(client.delete_env_config(self.text(0)?, self.text(1)?)),
            "listTriggers" => self.rows(client.triggers()).await,
            "getTrigger" => answer!(client.trigger(self.text(0)?)),
            "putTrigger" => answer!(client.put_trigger(&body!(self, 0))),
            "createTrigger" => answer!(client.create_trigger(&body!(self, 0))),
            "deleteTrigger" => answer!(client.delete_trigger(self.text(0)?)),
            "getSubscription" => answer!(client.subscription(self.text(0)?)),
            "retrySubscription" => answer!(client.retry_subscription(self.text(0)?)),
            "getPolls" => self.rows(client.polls(self.text(0)?)).await,
            "pollNow" => answer!(client.poll_now(self.text(0)?)),
            "resetPolls" => answer!(client.reset_polls(self.text(0)?)),
            "listSchedules" => self.rows(client.schedules()).await,
            "getSchedule" => answer!(client.schedule(self.text(0)?)),
            "runSchedule" => answer!(client.run_schedule(self.text(0)?)),
            "backfillSchedule" => answer!(client.backfill_schedule(self.text(0)?, &body!(self, 1))),
            "pauseSchedule" => answer!(client.pause_schedule(self.text(0)?, &body!(self, 1))),
            "resumeSchedule" => answer!(client.resume_schedule(self.text(0)?, &body!(self, 1))),
            "listApps" => self.rows(client.apps()).await,
            "getApp" => answer!(client.app(self.text(0)?)),
            "putApp" => answer!(client.put_app(&body!(self, 0))),
            "deleteApp" => answer!(client.delete_app(self.text(0)?)),
            other => bail!("{other} is no operation that this runner knows"),
        }
    }

    async fn rows<T: DeserializeOwned + Serialize>(&self, pager: Pager<T>) -> anyhow::Result<Outcome> {
        let pager = self.filters.iter().fold(pager, |pager, (name, value)| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            pager.filter(name.clone(), Some(value))
        });
        answer!(pager.take(self.take))
    }

    fn value(&self, at: usize) -> Value {
        self.args.get(at).cloned().unwrap_or_default()
    }

    fn body<T: DeserializeOwned>(&self, at: usize) -> Result<T, Value> {
        serde_json::from_value(self.value(at)).map_err(|error| {
            json!({"name": "ValidationError", "code": "VALIDATION_ERROR", "status": 400, "detail": error.to_string()})
        })
    }

    fn text(&self, at: usize) -> anyhow::Result<&str> {
        let argument = self.args.get(at).and_then(Value::as_str);
        argument.with_context(|| format!("argument {} of {} is no text", at + 1, self.operation))
    }

    fn number(&self, at: usize) -> anyhow::Result<u32> {
        let argument = self.args.get(at).and_then(Value::as_u64);
        argument.map(|number| number as u32).with_context(|| format!("argument {} is no number", at + 1))
    }

    fn seconds(&self, at: usize) -> anyhow::Result<Duration> {
        self.number(at).map(|seconds| Duration::from_secs(seconds.into()))
    }

    fn filter(&self, name: &str) -> Option<&str> {
        self.filters.get(name).and_then(Value::as_str)
    }

    fn verify_webhook(&self) -> anyhow::Result<Outcome> {
        let secrets: Vec<String> = serde_json::from_value(self.value(0))?;
        let headers = text_fields(&self.value(1));
        let header = |name: &str| headers.iter().find(|(had, _)| had == name).map(|(_, value)| value.clone());
        Ok(match webhook::verify(&secrets, header, self.text(2)?.as_bytes()) {
            Ok(()) => Ok(Value::Bool(true)),
            Err(rejected) => Err(json!({"name": "WebhookVerificationError", "detail": rejected.to_string()})),
        })
    }
}

fn text_fields(value: &Value) -> Vec<(String, String)> {
    let fields = value.as_object().into_iter().flatten();
    fields.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
}

fn outcome<T: Serialize>(result: Result<T, Error>) -> anyhow::Result<Outcome> {
    Ok(match result {
        Ok(value) => Ok(serde_json::to_value(value)?),
        Err(error) => Err(told(&error)),
    })
}

async fn batch(client: &Fastn, customer: &str, events: &Value) -> anyhow::Result<Outcome> {
    let batcher = Batcher::new(client, BatchOptions::default());
    for event in events.as_array().context("a list of events")? {
        if let Err(error) = batcher.send_json(customer, event.to_string().as_bytes()).await {
            return Ok(Err(told(&error)));
        }
    }
    let flushed = batcher.close().await;
    let failed = flushed.failed.iter();
    let failed = failed.map(|lost| {
        let event: Value = serde_json::from_slice(&lost.json).unwrap_or_default();
        json!({"customer": lost.customer, "event": event, "error": told(&lost.error)})
    });
    Ok(Ok(json!({"sent": flushed.sent, "failed": failed.collect::<Vec<_>>()})))
}

async fn follow(customer: &CustomerClient, execution: &str) -> anyhow::Result<Outcome> {
    let what = Follow { workflow: None, execution: Some(execution.to_owned()) };
    let (mut seen, mut told) = (BTreeSet::new(), Vec::new());
    let mut updates = std::pin::pin!(customer.follow(what));
    while let Some(update) = updates.next().await {
        match update {
            Ok(Update::Execution(update)) => {
                let status = serde_json::to_value(update.status)?;
                if seen.insert(status.to_string()) {
                    told.push(status);
                }
            }
            Ok(Update::Missed) => {}
            Err(error) => return Ok(Err(super::told(&error))),
        }
    }
    Ok(Ok(Value::Array(told)))
}
