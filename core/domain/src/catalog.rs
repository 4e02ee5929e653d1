//! The configuration as every node keeps it in memory: an immutable snapshot at one revision.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use fastn_contract::privacy::RetentionSettings;
use fastn_contract::quota::{CustomerTier, Plan};
use fastn_contract::resource::{Customer, CustomerStatus, SubscriptionState, Workflow, WorkflowVersion};
use serde::{Deserialize, Serialize};

use crate::flow::CompiledFlow;
use crate::ids::{AccountId, AppId, CustomerId, EndpointId, EnvironmentId, TriggerId, WorkflowId};
use crate::schedule::ScheduleState;
use crate::scope::Scope;
use crate::time::Timestamp;

mod alert;
mod app;
mod apply;
mod challenge;
mod kind;
mod log_key;
mod trigger;
mod verification;

pub use alert::{CompiledAlert, SILENCE_S_MAX, compile_alert};
pub use app::{APP_EVENT_UNNAMED, APP_SOURCE_PREFIX, CompiledApp, Routing, app_of_source, app_source, compile_app};
pub use kind::ResourceKind;
pub use log_key::{LogKey, LogKeys};
pub use trigger::{CompiledRoute, CompiledTrigger, compile_trigger};

/// The virtual environment that always runs the latest published version.
pub const ENVIRONMENT_TEST: &str = "test";

/// A row of the one table of resources.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceRow {
    /// What it is.
    pub kind: ResourceKind,
    /// Whose.
    pub account: AccountId,
    /// The one customer it belongs to, if it does.
    pub customer: Option<CustomerId>,
    /// Unique within kind and account.
    pub id: String,
    /// Grows over the whole table with each change: the feed's position.
    pub revision: u64,
    /// Grows with each change of this row, from 1.
    pub version: u64,
    /// When it was created.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Whether it was deleted; such a row stays for the feed.
    pub deleted: bool,
    /// The body as JSON text.
    pub body: String,
}

/// An access key as it is kept: never the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessKey {
    /// Its id, for people and logs.
    pub id: String,
    /// A name.
    pub name: String,
    /// SHA-256 of the key, in hex.
    pub hash: String,
    /// The one customer it may act for; absent for all.
    #[serde(default)]
    pub customer: Option<CustomerId>,
    /// When it stops working.
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// A secret as it is kept: every version, sealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// UPPER_SNAKE_CASE.
    pub name: String,
    /// Sealed values by version. An execution that saw version 1 sees it again on replay.
    pub versions: BTreeMap<u32, SealedSecret>,
    /// Whether a provider handed it over in a handshake, and nobody has written it since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub captured: bool,
}

/// What is needed to open the newest version of a secret.
#[derive(Clone, Copy, Debug)]
pub struct NewestSecret<'c, 's> {
    /// The customer that it belongs to; absent for the account's own.
    pub owner: Option<&'c CustomerId>,
    /// The version.
    pub version: u32,
    /// Its sealed value.
    pub sealed: &'s SealedSecret,
}

/// A value encrypted with the customer's or account's data key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SealedSecret {
    /// The data key, wrapped by the master key, base64.
    pub wrapped_key: String,
    /// Nonce and ciphertext with tag, base64.
    pub sealed: String,
}

/// A workflow with its versions.
#[derive(Clone, Debug)]
pub struct WorkflowEntry {
    /// Its settings.
    pub spec: Workflow,
    /// What holds its executions back, with paths parsed.
    pub flow: Option<Arc<CompiledFlow>>,
    /// The published versions.
    pub versions: BTreeMap<u32, Arc<WorkflowVersion>>,
    /// The versions that run in named environments.
    pub deployments: HashMap<EnvironmentId, u32>,
}

impl WorkflowEntry {
    /// The version that runs in `environment`.
    pub fn version_in(&self, environment: &EnvironmentId) -> Option<&Arc<WorkflowVersion>> {
        match self.deployments.get(environment) {
            Some(version) => self.versions.get(version),
            None if environment.as_str() == ENVIRONMENT_TEST => self.versions.last_key_value().map(|(_, v)| v),
            None => None,
        }
    }
}

/// One account's configuration.
#[derive(Clone, Debug, Default)]
pub struct AccountCatalog {
    /// Its customers.
    pub customers: HashMap<CustomerId, Arc<Customer>>,
    /// Its workflows.
    pub workflows: HashMap<WorkflowId, Arc<WorkflowEntry>>,
    /// Its triggers.
    pub triggers: HashMap<TriggerId, Arc<CompiledTrigger>>,
    /// What is remembered of its schedules.
    pub schedules: HashMap<TriggerId, Arc<ScheduleState>>,
    /// Its secrets, by customer (none: the account's own) and name.
    pub secrets: HashMap<(Option<CustomerId>, String), Arc<Secret>>,
    /// Its connector apps.
    pub apps: HashMap<AppId, Arc<CompiledApp>>,
    /// Its app-event triggers, by app and by account at the app.
    app_triggers: HashMap<AppId, HashMap<Option<String>, BTreeSet<TriggerId>>>,
    /// Whether the apps know of its app-event triggers.
    pub subscriptions: HashMap<TriggerId, SubscriptionState>,
    /// Its configuration values, by environment and key, as JSON text.
    pub env_config: HashMap<(EnvironmentId, String), Arc<str>>,
    /// Its alert rules.
    pub alerts: HashMap<String, Arc<CompiledAlert>>,
    /// Its plans, beside those that are built in.
    pub plans: HashMap<String, Arc<Plan>>,
    /// Its tiers of customers.
    pub tiers: HashMap<String, Arc<CustomerTier>>,
    /// The plan that it has chosen.
    pub plan: Option<String>,
    /// How long its activity is kept, if it says so.
    pub retention: Option<RetentionSettings>,
    /// Replays that are not over, by id.
    pub replays: BTreeSet<String>,
    /// Erasures that are not over, by id, with the customer whose events are refused meanwhile. The last steps do not know
    /// any more who it was.
    pub erasures: BTreeMap<String, Option<CustomerId>>,
}

impl AccountCatalog {
    /// The secret that `customer` sees under `name`: its own before the account's.
    pub fn secret(&self, customer: &CustomerId, name: &str) -> Option<&Arc<Secret>> {
        let own = self.secrets.get(&(Some(customer.clone()), name.to_owned()));
        own.or_else(|| self.secrets.get(&(None, name.to_owned())))
    }

    /// The newest version of the secret that `customer`, or the account itself, sees under `name`: its own before the
    /// account's.
    pub fn newest_secret<'c>(&self, customer: Option<&'c CustomerId>, name: &str) -> Option<NewestSecret<'c, '_>> {
        let of = |owner: Option<&'c CustomerId>| {
            let secret = self.secrets.get(&(owner.cloned(), name.to_owned()))?;
            let (version, sealed) = secret.versions.last_key_value()?;
            Some(NewestSecret { owner, version: *version, sealed })
        };
        customer.and_then(|customer| of(Some(customer))).or_else(|| of(None))
    }

    /// The triggers of an app that are on and listen to events of this type, in the order of their ids: those of one
    /// account at the app, or of all where the app does not say whose its events are.
    pub fn app_triggers(&self, app: &AppId, account: Option<&str>, kind: &str) -> Vec<&Arc<CompiledTrigger>> {
        let Some(by_account) = self.app_triggers.get(app) else { return Vec::new() };
        let ids: BTreeSet<&TriggerId> = match account {
            Some(account) => by_account.get(&Some(account.to_owned())).into_iter().flatten().collect(),
            None => by_account.values().flatten().collect(),
        };
        ids.into_iter().filter_map(|id| self.triggers.get(id)).filter(|trigger| trigger.hears(kind)).collect()
    }

    /// Whether an app-event trigger names the app, on or off.
    pub fn app_is_used(&self, app: &AppId) -> bool {
        self.app_triggers.contains_key(app)
    }

    fn forget_app_trigger(&mut self, id: &TriggerId) {
        let Some((app, account)) = self.triggers.get(id).and_then(|trigger| trigger.app_account()) else { return };
        let Some((app, account)) = AppId::new(app).ok().map(|app| (app, account.map(str::to_owned))) else { return };
        let Some(by_account) = self.app_triggers.get_mut(&app) else { return };
        if let Some(ids) = by_account.get_mut(&account) {
            ids.remove(id);
            if ids.is_empty() {
                by_account.remove(&account);
            }
        }
        if by_account.is_empty() {
            self.app_triggers.remove(&app);
        }
    }

    fn index_app_trigger(&mut self, id: &TriggerId) {
        let Some((app, account)) = self.triggers.get(id).and_then(|trigger| trigger.app_account()) else { return };
        let Ok(app) = AppId::new(app) else { return };
        let account = account.map(str::to_owned);
        self.app_triggers.entry(app).or_default().entry(account).or_default().insert(id.clone());
    }
}

/// A row that could not be used. The rest of the catalog still stands.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{} {id:?} of account {account} is not usable: {message}", kind.as_str())]
pub struct CatalogError {
    /// The row's kind.
    pub kind: ResourceKind,
    /// The row's account.
    pub account: AccountId,
    /// The row's id.
    pub id: String,
    /// Why.
    pub message: String,
}

/// The whole configuration at one revision. Cheap to clone: accounts are shared.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// The newest revision that is in it.
    pub revision: u64,
    accounts: HashMap<AccountId, Arc<AccountCatalog>>,
    webhooks: HashMap<TriggerId, AccountId>,
    keys: HashMap<String, (AccountId, Arc<AccessKey>)>,
    log_keys: LogKeys,
    endpoints: HashMap<EndpointId, (AccountId, AppId)>,
}

impl Catalog {
    /// This catalog with `rows` applied, in the order of their revisions. Rows that cannot be used are left out and told.
    pub fn with(&self, rows: &[ResourceRow]) -> (Catalog, Vec<CatalogError>) {
        let mut next = self.clone();
        let mut errors = Vec::new();
        for row in rows {
            next.revision = next.revision.max(row.revision);
            if let Err(message) = next.apply(row) {
                let (kind, account, id) = (row.kind, row.account.clone(), row.id.clone());
                errors.push(CatalogError { kind, account, id, message });
            }
        }
        (next, errors)
    }

    /// The configuration of `account`.
    pub fn account(&self, account: &AccountId) -> Option<&Arc<AccountCatalog>> {
        self.accounts.get(account)
    }

    /// Every account.
    pub fn accounts(&self) -> impl Iterator<Item = (&AccountId, &Arc<AccountCatalog>)> {
        self.accounts.iter()
    }

    /// The webhook trigger that a public URL names.
    pub fn webhook(&self, trigger: &TriggerId) -> Option<(&AccountId, &Arc<CompiledTrigger>)> {
        let account = self.webhooks.get(trigger)?;
        Some((account, self.accounts.get(account)?.triggers.get(trigger)?))
    }

    /// The account whose trigger has this id: ids are unique over all accounts.
    pub fn trigger_owner(&self, trigger: &TriggerId) -> Option<&AccountId> {
        self.webhooks.get(trigger)
    }

    /// The app that a public URL names.
    pub fn app_at(&self, endpoint: &EndpointId) -> Option<(&AccountId, &Arc<CompiledApp>)> {
        let (account, app) = self.endpoints.get(endpoint)?;
        Some((account, self.accounts.get(account)?.apps.get(app)?))
    }

    /// The access key with this SHA-256, in hex.
    pub fn access_key(&self, hash: &str) -> Option<&(AccountId, Arc<AccessKey>)> {
        self.keys.get(hash)
    }

    /// The data keys of the log.
    pub fn log_keys(&self) -> &LogKeys {
        &self.log_keys
    }

    /// The customer, if the account has it.
    pub fn customer(&self, scope: &Scope) -> Option<&Arc<Customer>> {
        self.accounts.get(&scope.account)?.customers.get(&scope.customer)
    }

    /// Whether events of this customer may start executions.
    pub fn is_active(&self, scope: &Scope) -> bool {
        self.customer(scope).is_some_and(|customer| customer.status == CustomerStatus::Active)
    }
}
