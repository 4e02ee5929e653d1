//! Alerts: rules evaluated on the journal as it grows, and messages to those who are to know.
//!
//! ```text
//!   executions[0] ─┐
//!   executions[1] ─┼─▶ engine: windows ─▶ values ─▶ states ─┬─▶ memory ─┐ one transaction,
//!   executions[n] ─┘      ▲                                 └─▶ alerts ─┘ at the revision it was made from
//!                    rules (catalog)                              │
//!                                                                 └─▶ messages, once they are saved ─▶ channels
//! ```
//!
//! One node of a cell evaluates all rules: the one that owns partition 0 as a projector. It need not be sure that it is the
//! only one. Whatever it found is saved first and told then, and a save from any but the newest revision is refused; so of
//! two evaluators one finds out that it is not, forgets what it holds, and has told nobody anything. A message is sent again
//! until it was taken, always with the same id.

mod engine;
mod evaluator;
mod gauges;
mod memory;
mod notice;
mod notify;
mod observe;
mod quota_use;
mod samples;
mod sketch;
mod standing;
mod window;

use std::sync::Arc;

use fastn_contract::alert::{AlertNotice, AlertNotification, AlertState, AlertView};
use fastn_domain::catalog::{Catalog, CompiledAlert};
use fastn_domain::ids::AccountId;
use fastn_domain::time::{Agenda, Clock, Timestamp};
use fastn_log::{Log, Membership};
use fastn_store::{Store, Vault};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use evaluator::AlertOptions;
pub use sketch::RELATIVE_ERROR;

use evaluator::Evaluator;
use notice::Notice;
use notify::Notifier;

use crate::processor::Intercept;

/// Alerts of this node. Dropping it ends them at once, which is as safe as a kill.
#[derive(Debug)]
pub struct Alerts {
    task: JoinHandle<()>,
    agenda: Arc<Agenda>,
}

/// What alerts stand on.
#[derive(Clone)]
pub struct AlertParts {
    /// Where the journal is.
    pub log: Arc<dyn Log>,
    /// Where they are kept.
    pub store: Arc<dyn Store>,
    /// The rules.
    pub catalog: watch::Receiver<Arc<Catalog>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Alerts {
    /// Evaluates while `membership`, that of the projectors, owns partition 0.
    pub fn start(parts: AlertParts, membership: Membership, channels: Channels, options: AlertOptions) -> Self {
        observe::started();
        let agenda = Arc::new(Agenda::default());
        let evaluator = Evaluator::new(parts, channels, options, agenda.clone());
        Self { task: tokio::spawn(evaluator.run(membership)), agenda }
    }

    /// When rules are evaluated and messages are sent next.
    pub fn agenda(&self) -> &Agenda {
        &self.agenda
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The way to the channels. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Channels(Arc<Notifier>);

impl Channels {
    /// With the secrets of `vault`; to addresses that are not public only if that is allowed.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn new(
        allow_private_addresses: bool,
        vault: Arc<Vault>,
        catalog: watch::Receiver<Arc<Catalog>>,
    ) -> Result<Self, reqwest::Error> {
        Self::asking(allow_private_addresses, vault, catalog, None)
    }

    /// The same, which asks `intercept` before each message.
    ///
    /// # Errors
    /// TLS can't be set up.
    pub fn asking(
        allow_private_addresses: bool,
        vault: Arc<Vault>,
        catalog: watch::Receiver<Arc<Catalog>>,
        intercept: Option<Intercept>,
    ) -> Result<Self, reqwest::Error> {
        Ok(Self(Arc::new(Notifier::new(allow_private_addresses, vault, catalog)?.asking(intercept))))
    }

    /// Sends a test to each channel of a rule, once.
    pub async fn test(
        &self,
        account: &AccountId,
        rule: &CompiledAlert,
        id: &str,
        now: Timestamp,
    ) -> Vec<AlertNotification> {
        let view = AlertView {
            id: format!("alert_test_{id}"),
            rule: rule.spec.id.clone(),
            name: rule.spec.name.clone(),
            customer: rule.spec.customer.clone(),
            state: AlertState::Firing,
            metric: rule.spec.metric,
            dimension: rule.spec.dimension,
            value_of: None,
            comparison: rule.spec.comparison,
            threshold: rule.spec.threshold,
            value: rule.spec.threshold,
            fired_at: now.to_string(),
            resolved_at: None,
            resolved_by: None,
            notifications: Vec::new(),
        };
        let sends = rule.spec.channels.iter().enumerate().map(|(at, channel)| {
            let notice = Notice {
                id: format!("msg_test_{id}_{at}"),
                account: account.clone(),
                customer: rule.customer.clone(),
                channel: channel.clone(),
                description: rule.spec.description.clone(),
                body: AlertNotice { kind: "alert.test".to_owned(), timestamp: now.to_string(), data: view.clone() },
                attempts: 0,
                next: now,
            };
            async move {
                let error = self.0.send(&notice).await.err();
                AlertNotification {
                    id: notice.id,
                    channel: notice.channel.kind().to_owned(),
                    about: AlertState::Firing,
                    status: if error.is_none() { "delivered" } else { "failed" }.to_owned(),
                    attempts: 1,
                    error,
                }
            }
        });
        futures_util::future::join_all(sends).await
    }
}
