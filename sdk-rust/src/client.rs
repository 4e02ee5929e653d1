//! The client: one method for each operation of the API.

use std::time::Duration;

use bytes::Bytes;
use fastn_contract::activity::{DeadLetterView, EventView, ExecutionView, Health};
use fastn_contract::alert::{AlertRule, AlertTested, AlertView, SilenceAlert};
use fastn_contract::app::{AppAccepted, SendAppEvent};
use fastn_contract::command::{
    Accepted, DeadLettersReplayed, Decision, DeployVersion, PublishVersion, ReplayDeadLetters, ReplayExecution,
    RunAnswer, RunWorkflow, SendEvent,
};
use fastn_contract::page::Page;
use fastn_contract::poll::{PollView, PollsAsked};
use fastn_contract::privacy::{ErasureView, RetentionSettings};
use fastn_contract::quota::{CurrentUsage, CustomerTier, Plan, QuotaSettings, UsageRow};
use fastn_contract::replay::{ReplayPreview, ReplayView, StartReplay};
use fastn_contract::resource::{
    App, CapturedToken, Customer, Deployment, EnvConfig, SecretView, SecretWrite, Stored, SubscriptionView, Trigger,
    TriggerView, VersionView, Workflow,
};
use fastn_contract::schedule::{BackfillSchedule, ChangeStatus, ScheduleFired, ScheduleView};
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Builder;
use crate::error::{Error, ErrorKind};
use crate::follow::{Follow, Update, follow};
use crate::page::Pager;
use crate::transport::{Call, Transport};

/// How often an awaited execution is looked at while no live update comes.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A client of one server, bound to an account and maybe to one customer. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Fastn {
    transport: Transport,
    customer: Option<String>,
}

impl Fastn {
    /// Settings for a client.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn over(transport: Transport, customer: Option<String>) -> Self {
        Self { transport, customer }
    }

    /// The same client, bound to one customer.
    pub fn customer(&self, customer: impl Into<String>) -> Self {
        Self { transport: self.transport.clone(), customer: Some(customer.into()) }
    }

    /// The same client, bound to the account as a whole.
    pub fn account(&self) -> Self {
        Self { transport: self.transport.clone(), customer: None }
    }

    /// The server.
    pub fn url(&self) -> &str {
        self.transport.url().as_str()
    }

    fn call(&self, method: Method, path: &[&str]) -> Call {
        Call::new(method, path).for_customer(self.customer.as_deref())
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Error> {
        self.transport.decode(self.call(Method::GET, path)).await
    }

    async fn put<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::PUT, path).json(body)?).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, Error> {
        self.transport.decode(self.call(Method::POST, path).json(body)?).await
    }

    async fn delete(&self, path: &[&str]) -> Result<(), Error> {
        self.transport.bytes(self.call(Method::DELETE, path)).await.map(drop)
    }

    fn list<T: DeserializeOwned>(&self, path: &'static [&'static str]) -> Pager<T> {
        Pager::new(self.transport.clone(), path, self.customer.clone())
    }

    /// Sends one event. It is durable when this returns.
    pub async fn send(&self, event: &SendEvent) -> Result<Accepted, Error> {
        self.post(&["v1", "events"], event).await
    }

    /// Sends events of one customer in one request, all or none.
    pub async fn send_many(&self, events: &[SendEvent]) -> Result<Accepted, Error> {
        self.post(&["v1", "events"], &events).await
    }

    /// Sends a body to a webhook trigger as its provider would, with the headers given.
    pub async fn send_webhook(
        &self,
        trigger: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Result<Accepted, Error> {
        // No idempotency key: providers send none, and their own delivery id must stay the event's.
        let call = self.call(Method::POST, &["v1", "webhooks", trigger]).without_key();
        let mut call = call.raw("application/json", body.into());
        for (name, value) in headers {
            call = call.header(name, value);
        }
        self.transport.decode(call).await
    }

    /// Events, newest first. Filters: `status`, `origin`, `type`, `trigger`, `since`, `until`.
    pub fn events(&self) -> Pager<EventView> {
        self.list(&["v1", "events"])
    }

    /// One event with its payload.
    pub async fn event(&self, id: &str) -> Result<EventView, Error> {
        self.get(&["v1", "events", id]).await
    }

    /// Runs a workflow. An Instant one returns its result; a failed one is an error with the execution's id.
    pub async fn run(&self, workflow: &str, input: Value) -> Result<RunAnswer, Error> {
        self.run_in(workflow, &RunWorkflow { input, environment: None }).await
    }

    /// Runs a workflow in an environment.
    pub async fn run_in(&self, workflow: &str, run: &RunWorkflow) -> Result<RunAnswer, Error> {
        self.post(&["v1", "workflows", workflow, "run"], run).await
    }

    /// Executions, newest first. Filters: `status`, `workflow`, `trigger`, `eventId`, `since`, `until`.
    pub fn executions(&self) -> Pager<ExecutionView> {
        self.list(&["v1", "executions"])
    }

    /// One execution with everything.
    pub async fn execution(&self, id: &str) -> Result<ExecutionView, Error> {
        self.get(&["v1", "executions", id]).await
    }

    /// Waits until an execution has ended, at most `limit`.
    ///
    /// # Errors
    /// `Unknown` when the time runs out: the execution goes on.
    pub async fn wait(&self, id: &str, limit: Duration) -> Result<ExecutionView, Error> {
        let deadline = tokio::time::Instant::now() + limit;
        let what = Follow { workflow: None, execution: Some(id.to_owned()) };
        let mut updates = std::pin::pin!(self.follow(what));
        let mut live = true;
        loop {
            match self.execution(id).await {
                Ok(view) if view.status.is_final() => return Ok(view),
                Ok(_) => {}
                // It is taken but not projected yet.
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                update = updates.next(), if live => live = matches!(update, Some(Ok(_))),
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = tokio::time::sleep_until(deadline) => {
                    let detail = format!("execution {id} has not ended within {} ms", limit.as_millis());
                    return Err(Error::new(ErrorKind::Unknown, "wait for an execution", detail));
                }
            }
        }
    }

    /// Live updates, until the stream is dropped.
    pub fn follow(&self, what: Follow) -> impl Stream<Item = Result<Update, Error>> + Send + use<> {
        follow(self.transport.clone(), self.customer.clone(), what)
    }

    /// Asks for an execution's end.
    pub async fn cancel(&self, id: &str) -> Result<RunAnswer, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "executions", id, "cancel"])).await
    }

    /// Runs an ended execution again, as a new one.
    pub async fn replay(&self, id: &str, how: &ReplayExecution) -> Result<RunAnswer, Error> {
        self.post(&["v1", "executions", id, "replay"], how).await
    }

    /// Answers an approval.
    pub async fn decide(&self, id: &str, decision: &Decision) -> Result<RunAnswer, Error> {
        self.post(&["v1", "executions", id, "decisions"], decision).await
    }

    /// Dead letters, newest first. Filters: `status`, `workflow`.
    pub fn dead_letters(&self) -> Pager<DeadLetterView> {
        self.list(&["v1", "dead-letters"])
    }

    /// One dead letter.
    pub async fn dead_letter(&self, id: &str) -> Result<DeadLetterView, Error> {
        self.get(&["v1", "dead-letters", id]).await
    }

    /// Replays dead letters.
    pub async fn replay_dead_letters(&self, which: &ReplayDeadLetters) -> Result<DeadLettersReplayed, Error> {
        self.post(&["v1", "dead-letters", "replay"], which).await
    }

    /// What a replay would do. Nothing is started.
    pub async fn preview_replay(&self, replay: &StartReplay) -> Result<ReplayPreview, Error> {
        self.post(&["v1", "replays", "preview"], replay).await
    }

    /// Starts a replay in the background.
    pub async fn start_replay(&self, replay: &StartReplay) -> Result<ReplayView, Error> {
        self.post(&["v1", "replays"], replay).await
    }

    /// Replays.
    pub fn replays(&self) -> Pager<ReplayView> {
        self.list(&["v1", "replays"])
    }

    /// One replay, with its progress.
    pub async fn replay_job(&self, id: &str) -> Result<ReplayView, Error> {
        self.get(&["v1", "replays", id]).await
    }

    /// Starts nothing more of a replay.
    pub async fn cancel_replay(&self, id: &str) -> Result<ReplayView, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "replays", id, "cancel"])).await
    }

    /// Everything of one customer as JSON lines, in pieces of any length, as they come. Its last line has the type `end`.
    pub async fn export_customer(
        &self,
        id: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + use<>, Error> {
        let response = self.transport.open(&self.call(Method::GET, &["v1", "customers", id, "export"])).await?;
        Ok(response
            .bytes_stream()
            .map(|piece| piece.map_err(|error| Error::new(ErrorKind::Unknown, "export a customer", error.to_string()))))
    }

    /// Erases a customer, for good. The erasure goes on in the background.
    pub async fn erase_customer(&self, id: &str) -> Result<ErasureView, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "customers", id, "erase"])).await
    }

    /// Erasures.
    pub fn erasures(&self) -> Pager<ErasureView> {
        self.list(&["v1", "erasures"])
    }

    /// One erasure: the proof.
    pub async fn erasure(&self, id: &str) -> Result<ErasureView, Error> {
        self.get(&["v1", "erasures", id]).await
    }

    /// How long activity is kept.
    pub async fn retention(&self) -> Result<RetentionSettings, Error> {
        self.get(&["v1", "settings", "retention"]).await
    }

    /// Sets how long activity is kept.
    pub async fn put_retention(&self, settings: &RetentionSettings) -> Result<RetentionSettings, Error> {
        self.put(&["v1", "settings", "retention"], settings).await
    }

    /// Customers of the account.
    pub fn customers(&self) -> Pager<Stored<Customer>> {
        self.list(&["v1", "customers"])
    }

    /// Plans that are configured; `free` and `unlimited` are built in.
    pub fn plans(&self) -> Pager<Stored<Plan>> {
        self.list(&["v1", "plans"])
    }

    /// Creates or changes a plan.
    pub async fn put_plan(&self, plan: &Plan) -> Result<Stored<Plan>, Error> {
        self.put(&["v1", "plans", &plan.id], plan).await
    }

    /// Tiers of customers.
    pub fn customer_tiers(&self) -> Pager<Stored<CustomerTier>> {
        self.list(&["v1", "customer-tiers"])
    }

    /// Creates or changes a tier of customers.
    pub async fn put_customer_tier(&self, tier: &CustomerTier) -> Result<Stored<CustomerTier>, Error> {
        self.put(&["v1", "customer-tiers", &tier.id], tier).await
    }

    /// Chooses the account's plan.
    pub async fn put_quota_settings(&self, settings: &QuotaSettings) -> Result<Stored<QuotaSettings>, Error> {
        self.put(&["v1", "quota-settings"], settings).await
    }

    /// What was used, by customer, day and measure, the newest day first. Filters: `measure`, `since`, `until`.
    pub fn usage(&self) -> Pager<UsageRow> {
        self.list(&["v1", "usage"])
    }

    /// Every limit of the customer, or of the account, and what is left of it.
    pub async fn current_usage(&self) -> Result<CurrentUsage, Error> {
        self.get(&["v1", "usage", "current"]).await
    }

    /// Takes an event that a quota refused once more.
    pub async fn replay_event(&self, id: &str) -> Result<Accepted, Error> {
        self.post(&["v1", "events", id, "replay"], &Value::Object(Default::default())).await
    }

    /// Creates or changes a customer.
    pub async fn put_customer(&self, customer: &Customer) -> Result<Stored<Customer>, Error> {
        self.put(&["v1", "customers", &customer.id], customer).await
    }

    /// Deletes a customer.
    pub async fn delete_customer(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "customers", id]).await
    }

    /// Workflows.
    pub fn workflows(&self) -> Pager<Stored<Workflow>> {
        self.list(&["v1", "workflows"])
    }

    /// Creates or changes a workflow's settings.
    pub async fn put_workflow(&self, workflow: &Workflow) -> Result<Stored<Workflow>, Error> {
        self.put(&["v1", "workflows", &workflow.id], workflow).await
    }

    /// Publishes code as the workflow's next version; the same code again returns the version that is there.
    pub async fn publish(&self, workflow: &str, version: &PublishVersion) -> Result<VersionView, Error> {
        self.post(&["v1", "workflows", workflow, "versions"], version).await
    }

    /// One version with its source.
    pub async fn version(&self, workflow: &str, version: u32) -> Result<VersionView, Error> {
        self.get(&["v1", "workflows", workflow, "versions", &version.to_string()]).await
    }

    /// Deploys a version to an environment.
    pub async fn deploy(&self, workflow: &str, environment: &str, version: u32) -> Result<Stored<Deployment>, Error> {
        self.put(&["v1", "workflows", workflow, "deployments", environment], &DeployVersion { version }).await
    }

    /// Triggers.
    pub fn triggers(&self) -> Pager<TriggerView> {
        self.list(&["v1", "triggers"])
    }

    /// One trigger.
    pub async fn trigger(&self, id: &str) -> Result<TriggerView, Error> {
        self.get(&["v1", "triggers", id]).await
    }

    /// Creates or changes a trigger.
    pub async fn put_trigger(&self, trigger: &Trigger) -> Result<TriggerView, Error> {
        self.put(&["v1", "triggers", &trigger.id], trigger).await
    }

    /// Creates a trigger; without an id it gets a random one.
    pub async fn create_trigger(&self, trigger: &Trigger) -> Result<TriggerView, Error> {
        self.post(&["v1", "triggers"], trigger).await
    }

    /// Whether a connector app knows of an app-event trigger.
    pub async fn subscription(&self, trigger: &str) -> Result<SubscriptionView, Error> {
        self.get(&["v1", "triggers", trigger, "subscription"]).await
    }

    /// Asks the app of an app-event trigger again to subscribe it.
    pub async fn retry_subscription(&self, trigger: &str) -> Result<SubscriptionView, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "triggers", trigger, "retry-subscription"])).await
    }

    /// Deletes a trigger.
    pub async fn delete_trigger(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "triggers", id]).await
    }

    /// Triggers that fire by the clock, and how they stand.
    pub fn schedules(&self) -> Pager<ScheduleView> {
        self.list(&["v1", "schedules"])
    }

    /// One of them, with its next times and its status history.
    pub async fn schedule(&self, id: &str) -> Result<ScheduleView, Error> {
        self.get(&["v1", "schedules", id]).await
    }

    /// Fires it once now, beside its times.
    pub async fn run_schedule(&self, id: &str) -> Result<ScheduleFired, Error> {
        self.post(&["v1", "schedules", id, "run"], &serde_json::json!({})).await
    }

    /// Makes up for scheduled times that have no event.
    pub async fn backfill_schedule(&self, id: &str, range: &BackfillSchedule) -> Result<ScheduleFired, Error> {
        self.post(&["v1", "schedules", id, "backfill"], range).await
    }

    /// Lets it fire no more until it is resumed.
    pub async fn pause_schedule(&self, id: &str, why: &ChangeStatus) -> Result<ScheduleView, Error> {
        self.post(&["v1", "schedules", id, "pause"], why).await
    }

    /// Lets it fire again.
    pub async fn resume_schedule(&self, id: &str, why: &ChangeStatus) -> Result<ScheduleView, Error> {
        self.post(&["v1", "schedules", id, "resume"], why).await
    }

    /// How the polls of a trigger stand, by customer: a page, the first without a cursor.
    pub async fn polls(&self, trigger: &str, cursor: Option<&str>) -> Result<Page<PollView>, Error> {
        let call = self.call(Method::GET, &["v1", "triggers", trigger, "poll"]).query("cursor", cursor);
        self.transport.decode(call).await
    }

    /// Makes a trigger's polls due now.
    pub async fn poll_now(&self, trigger: &str) -> Result<PollsAsked, Error> {
        self.post(&["v1", "triggers", trigger, "poll"], &serde_json::json!({})).await
    }

    /// Forgets what a trigger's polls have listed.
    pub async fn reset_polls(&self, trigger: &str) -> Result<(), Error> {
        self.delete(&["v1", "triggers", trigger, "poll"]).await
    }

    /// Connector apps.
    pub fn apps(&self) -> Pager<Stored<App>> {
        self.list(&["v1", "apps"])
    }

    /// One connector app.
    pub async fn app(&self, id: &str) -> Result<Stored<App>, Error> {
        self.get(&["v1", "apps", id]).await
    }

    /// Creates or changes a connector app.
    pub async fn put_app(&self, app: &App) -> Result<Stored<App>, Error> {
        self.put(&["v1", "apps", &app.id], app).await
    }

    /// Deletes a connector app.
    pub async fn delete_app(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "apps", id]).await
    }

    /// Sends an event of a connector app in the app's place. It is durable when this returns.
    pub async fn send_app_event(&self, event: &SendAppEvent) -> Result<AppAccepted, Error> {
        self.post(&["v1", "app-events"], event).await
    }

    /// Secrets, without values.
    pub fn secrets(&self) -> Pager<SecretView> {
        self.list(&["v1", "secrets"])
    }

    /// The token that a provider's handshake stored within the last hour, of the account or of one customer.
    pub async fn captured_token(&self, name: &str, customer: Option<&str>) -> Result<CapturedToken, Error> {
        let call = self.call(Method::GET, &["v1", "secrets", name, "captured-token"]).query("customer", customer);
        self.transport.decode(call).await
    }

    /// Writes a secret's next version.
    pub async fn put_secret(&self, secret: &SecretWrite) -> Result<SecretView, Error> {
        self.put(&["v1", "secrets", &secret.name], secret).await
    }

    /// Deletes a secret of the account, or of one customer.
    pub async fn delete_secret(&self, name: &str, customer: Option<&str>) -> Result<(), Error> {
        let call = self.call(Method::DELETE, &["v1", "secrets", name]).query("customer", customer);
        self.transport.bytes(call).await.map(drop)
    }

    /// Alert rules.
    pub fn alert_rules(&self) -> Pager<Stored<AlertRule>> {
        self.list(&["v1", "alert-rules"])
    }

    /// One alert rule.
    pub async fn alert_rule(&self, id: &str) -> Result<Stored<AlertRule>, Error> {
        self.get(&["v1", "alert-rules", id]).await
    }

    /// Creates or changes an alert rule.
    pub async fn put_alert_rule(&self, rule: &AlertRule) -> Result<Stored<AlertRule>, Error> {
        self.put(&["v1", "alert-rules", &rule.id], rule).await
    }

    /// Deletes an alert rule.
    pub async fn delete_alert_rule(&self, id: &str) -> Result<(), Error> {
        self.delete(&["v1", "alert-rules", id]).await
    }

    /// Keeps a rule from telling anybody for a while, e.g. `2h`.
    pub async fn silence_alert_rule(&self, id: &str, duration: &str) -> Result<Stored<AlertRule>, Error> {
        let request = SilenceAlert { duration: duration.to_owned() };
        self.post(&["v1", "alert-rules", id, "silence"], &request).await
    }

    /// Ends that.
    pub async fn unsilence_alert_rule(&self, id: &str) -> Result<Stored<AlertRule>, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "alert-rules", id, "unsilence"])).await
    }

    /// Sends a test to each channel of a rule.
    pub async fn test_alert_rule(&self, id: &str) -> Result<AlertTested, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "alert-rules", id, "test"])).await
    }

    /// Alerts, newest first. Filters: `state`, `rule`.
    pub fn alerts(&self) -> Pager<AlertView> {
        self.list(&["v1", "alerts"])
    }

    /// One alert.
    pub async fn alert(&self, id: &str) -> Result<AlertView, Error> {
        self.get(&["v1", "alerts", id]).await
    }

    /// Sets a configuration value.
    pub async fn put_env_config(&self, config: &EnvConfig) -> Result<Stored<EnvConfig>, Error> {
        self.put(&["v1", "env-configs", &config.environment, &config.key], config).await
    }

    /// What the server says of itself.
    pub async fn health(&self) -> Result<Health, Error> {
        self.get(&["readyz"]).await
    }
}
