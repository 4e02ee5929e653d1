//! Triggers: schedules, polls, and the events of apps.

use fastn_contract::poll::{PollView, PollsAsked};
use fastn_contract::resource::{App, Stored, SubscriptionView, Trigger, TriggerView};
use fastn_contract::schedule::{BackfillSchedule, ChangeStatus, ScheduleFired, ScheduleView};
use reqwest::Method;

use super::Fastn;
use crate::error::Error;
use crate::page::Pager;

impl Fastn {
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
        self.transport.decode(self.call(Method::POST, &["v1", "triggers", trigger, "retry-subscription"])?).await
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

    /// How the polls of a trigger stand, by customer.
    pub fn polls(&self, trigger: &str) -> Pager<PollView> {
        self.list(&["v1", "triggers", trigger, "poll"])
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
}
