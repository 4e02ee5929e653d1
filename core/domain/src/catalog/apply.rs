//! What a row of the table of resources changes in the catalog.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fastn_contract::privacy::ErasureStatus;
use fastn_contract::quota::{CustomerTier, Plan, QuotaSettings};
use fastn_contract::replay::ReplayStatus;
use fastn_contract::resource::{
    App, Customer, Deployment, EnvConfig, SubscriptionView, Switch, Workflow, WorkflowVersion,
};
use serde::Deserialize;

use super::{
    AccessKey, AccountCatalog, Catalog, CompiledTrigger, ResourceKind, ResourceRow, Secret, WorkflowEntry,
    compile_alert, compile_app, compile_trigger,
};
use crate::flow::{CompiledFlow, Holder};
use crate::ids::{AppId, CustomerId, EndpointId, EnvironmentId, TriggerId, WorkflowId};
use crate::quota::PLAN_UNLIMITED;
use crate::schedule::ScheduleState;
use crate::scope::Scope;

impl Catalog {
    pub(super) fn apply(&mut self, row: &ResourceRow) -> Result<(), String> {
        let account = Arc::make_mut(self.accounts.entry(row.account.clone()).or_default());
        match row.kind {
            ResourceKind::Account => {}
            ResourceKind::Customer => {
                let id = CustomerId::new(&row.id).map_err(|error| error.to_string())?;
                upsert(&mut account.customers, id, row, parse::<Customer>)?;
            }
            ResourceKind::Workflow => apply_workflow(account, row)?,
            ResourceKind::WorkflowVersion => apply_version(account, row)?,
            ResourceKind::Deployment => apply_deployment(account, row)?,
            ResourceKind::Trigger => {
                let id = TriggerId::new(&row.id).map_err(|error| error.to_string())?;
                let owner = self.webhooks.entry(id.clone()).or_insert_with(|| row.account.clone());
                if *owner != row.account {
                    return Err("another account has a trigger with this id".to_owned());
                }
                if row.deleted {
                    self.webhooks.remove(&id);
                }
                account.forget_app_trigger(&id);
                let compile = |row: &ResourceRow| {
                    let trigger = compile_trigger(parse(row)?).map_err(first_message)?;
                    Ok(CompiledTrigger { created: row.created, changed: row.updated, ..trigger })
                };
                let applied = upsert(&mut account.triggers, id.clone(), row, compile);
                // One that cannot be used leaves the older one in force.
                account.index_app_trigger(&id);
                applied?;
            }
            ResourceKind::ScheduleState => {
                let id = TriggerId::new(&row.id).map_err(|error| error.to_string())?;
                upsert(&mut account.schedules, id, row, parse::<ScheduleState>)?;
            }
            ResourceKind::Secret => {
                let name = row.id.rsplit('/').next().unwrap_or(&row.id).to_owned();
                upsert(&mut account.secrets, (row.customer.clone(), name), row, parse::<Secret>)?;
            }
            ResourceKind::EnvConfig => apply_env_config(account, row)?,
            ResourceKind::App => {
                let id = AppId::new(&row.id).map_err(|error| error.to_string())?;
                let spec: App = parse(row)?;
                let endpoint = spec.endpoint.as_deref().map(EndpointId::new).transpose();
                if let Some(endpoint) = endpoint.map_err(|error| error.to_string())? {
                    let owner = self.endpoints.entry(endpoint).or_insert_with(|| (row.account.clone(), id.clone()));
                    if *owner != (row.account.clone(), id.clone()) {
                        return Err("another app has this endpoint".to_owned());
                    }
                }
                if row.deleted {
                    self.endpoints.retain(|_, owner| *owner != (row.account.clone(), id.clone()));
                }
                upsert(&mut account.apps, id, row, |_| compile_app(spec).map_err(first_message))?;
            }
            ResourceKind::Subscription => {
                let id = TriggerId::new(&row.id).map_err(|error| error.to_string())?;
                if row.deleted {
                    account.subscriptions.remove(&id);
                } else {
                    account.subscriptions.insert(id, parse::<SubscriptionView>(row)?.state);
                }
            }
            ResourceKind::AlertRule => {
                upsert(&mut account.alerts, row.id.clone(), row, |row| {
                    compile_alert(parse(row)?).map_err(first_message)
                })?;
            }
            ResourceKind::Plan => upsert(&mut account.plans, row.id.clone(), row, parse::<Plan>)?,
            ResourceKind::CustomerTier => upsert(&mut account.tiers, row.id.clone(), row, parse::<CustomerTier>)?,
            ResourceKind::QuotaSettings => {
                let settings: QuotaSettings = parse(row)?;
                account.plan = (!row.deleted && settings.plan != PLAN_UNLIMITED).then_some(settings.plan);
            }
            ResourceKind::AccessKey => {
                let key: AccessKey = parse(row)?;
                if row.deleted {
                    self.keys.remove(&key.hash);
                } else {
                    self.keys.insert(key.hash.clone(), (row.account.clone(), Arc::new(key)));
                }
            }
            ResourceKind::LogKey if row.deleted => self.log_keys.forget(&row.id),
            ResourceKind::LogKey => {
                let customer = row.customer.clone().ok_or_else(|| "it has no customer".to_owned())?;
                self.log_keys.put(Scope::new(row.account.clone(), customer), parse(row)?);
            }
            ResourceKind::Retention => account.retention = if row.deleted { None } else { Some(parse(row)?) },
            ResourceKind::Replay => {
                account.replays.remove(&row.id);
                if !row.deleted && !parse::<OpenReplay>(row)?.status.is_final() {
                    account.replays.insert(row.id.clone());
                }
            }
            ResourceKind::Erasure => {
                account.erasures.remove(&row.id);
                let erasure: OpenErasure = parse(row)?;
                if !row.deleted && erasure.status == ErasureStatus::Running {
                    account.erasures.insert(row.id.clone(), erasure.customer);
                }
            }
        }
        Ok(())
    }
}

/// What the catalog reads of a replay.
#[derive(Deserialize)]
struct OpenReplay {
    status: ReplayStatus,
}

/// What the catalog reads of an erasure.
#[derive(Deserialize)]
struct OpenErasure {
    status: ErasureStatus,
    #[serde(default)]
    customer: Option<CustomerId>,
}

fn first_message(errors: Vec<fastn_contract::error::FieldError>) -> String {
    errors.into_iter().next().map(|error| format!("{}: {}", error.path, error.message)).unwrap_or_default()
}

fn parse<T: serde::de::DeserializeOwned>(row: &ResourceRow) -> Result<T, String> {
    serde_json::from_str(&row.body).map_err(|error| error.to_string())
}

fn upsert<K: std::hash::Hash + Eq, V>(
    map: &mut HashMap<K, Arc<V>>,
    key: K,
    row: &ResourceRow,
    read: impl FnOnce(&ResourceRow) -> Result<V, String>,
) -> Result<(), String> {
    if row.deleted {
        map.remove(&key);
    } else {
        map.insert(key, Arc::new(read(row)?));
    }
    Ok(())
}

fn workflow_entry<'a>(account: &'a mut AccountCatalog, id: &str) -> Result<&'a mut WorkflowEntry, String> {
    let id = WorkflowId::new(id).map_err(|error| error.to_string())?;
    let entry = account.workflows.entry(id.clone()).or_insert_with(|| {
        let spec = Workflow {
            id: id.as_str().to_owned(),
            name: String::new(),
            description: String::new(),
            tier: Default::default(),
            timeout_ms: None,
            escalate_on_timeout: false,
            status: Switch::Disabled,
            retry: None,
            flow: None,
        };
        Arc::new(WorkflowEntry { spec, flow: None, versions: BTreeMap::new(), deployments: HashMap::new() })
    });
    Ok(Arc::make_mut(entry))
}

fn apply_workflow(account: &mut AccountCatalog, row: &ResourceRow) -> Result<(), String> {
    if row.deleted {
        account.workflows.remove(&WorkflowId::new(&row.id).map_err(|error| error.to_string())?);
        return Ok(());
    }
    let spec: Workflow = parse(row)?;
    let flow = spec.flow.as_ref().map(|flow| CompiledFlow::compile(flow, Holder::Workflow)).transpose();
    let flow = flow.map_err(first_message)?.map(Arc::new);
    let entry = workflow_entry(account, &row.id)?;
    (entry.spec, entry.flow) = (spec, flow);
    Ok(())
}

fn apply_version(account: &mut AccountCatalog, row: &ResourceRow) -> Result<(), String> {
    let version: WorkflowVersion = parse(row)?;
    let known = account.workflows.keys().any(|id| id.as_str() == version.workflow);
    if row.deleted && !known {
        return Ok(());
    }
    let entry = workflow_entry(account, &version.workflow)?;
    if row.deleted {
        entry.versions.remove(&version.version);
    } else {
        entry.versions.insert(version.version, Arc::new(version));
    }
    Ok(())
}

fn apply_deployment(account: &mut AccountCatalog, row: &ResourceRow) -> Result<(), String> {
    let deployment: Deployment = parse(row)?;
    let environment = EnvironmentId::new(&deployment.environment).map_err(|error| error.to_string())?;
    let entry = workflow_entry(account, &deployment.workflow)?;
    if row.deleted {
        entry.deployments.remove(&environment);
    } else {
        entry.deployments.insert(environment, deployment.version);
    }
    Ok(())
}

fn apply_env_config(account: &mut AccountCatalog, row: &ResourceRow) -> Result<(), String> {
    let config: EnvConfig = parse(row)?;
    let environment = EnvironmentId::new(&config.environment).map_err(|error| error.to_string())?;
    let key = (environment, config.key);
    if row.deleted {
        account.env_config.remove(&key);
    } else {
        account.env_config.insert(key, Arc::from(config.value.to_string()));
    }
    Ok(())
}
