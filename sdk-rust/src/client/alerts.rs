//! Alert rules, and the times that they fired.

use fastn_contract::alert::{AlertRule, AlertTested, AlertView, SilenceAlert};
use fastn_contract::resource::Stored;
use reqwest::Method;

use super::Fastn;
use crate::error::Error;
use crate::page::Pager;

impl Fastn {
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
        self.transport.decode(self.call(Method::POST, &["v1", "alert-rules", id, "unsilence"])?).await
    }

    /// Sends a test to each channel of a rule.
    pub async fn test_alert_rule(&self, id: &str) -> Result<AlertTested, Error> {
        self.transport.decode(self.call(Method::POST, &["v1", "alert-rules", id, "test"])?).await
    }

    /// Alerts, newest first. Filters: `state`, `rule`.
    pub fn alerts(&self) -> Pager<AlertView> {
        self.list(&["v1", "alerts"])
    }

    /// One alert.
    pub async fn alert(&self, id: &str) -> Result<AlertView, Error> {
        self.get(&["v1", "alerts", id]).await
    }
}
