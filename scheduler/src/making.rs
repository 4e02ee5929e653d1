//! Makes the events of fires: one for each customer that a trigger fires for.
//!
//! An event depends on its trigger, on the fire, and on which customers are active. So it can be made before it is due,
//! when there is time for it; whoever sends it then asks first whether it still [holds](Made::holds).

use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_domain::catalog::{AccountCatalog, Catalog, CompiledTrigger};
use fastn_domain::partition::partition_of_key;
use fastn_domain::schedule::{self, Fire};
use fastn_domain::{AccountId, Residency, Scope, Timestamp};
use fastn_log::{Partition, Record, event_record_at};

/// What an event is made of: enough to make its record again, byte for byte.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    trigger: Arc<CompiledTrigger>,
    scope: Scope,
    at: Timestamp,
    /// The configuration under which it is made.
    revision: u64,
}

impl Recipe {
    /// None if its id is longer than ids may be, which that of a trigger and a time is not.
    pub(crate) fn record(&self) -> Option<Record> {
        let id = schedule::fire_id(&self.trigger.id, self.at);
        let event = schedule::event(&self.trigger, self.scope.clone(), &id, self.at, Origin::Schedule).ok()?;
        Some(event_record_at(&event, self.revision))
    }
}

/// An event on its way.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) recipe: Recipe,
    pub(crate) partition: Partition,
    pub(crate) record: Record,
}

/// The events of a fire.
#[derive(Debug)]
pub(crate) struct Made {
    /// What was configured when they were made.
    account: Option<Arc<AccountCatalog>>,
    pub(crate) events: Vec<Event>,
    /// Of the records.
    pub(crate) bytes: usize,
}

/// See the head of this file.
pub(crate) struct Maker {
    residency: Arc<Residency>,
    partitions: u32,
}

impl Maker {
    pub(crate) fn new(residency: Arc<Residency>, partitions: u32) -> Self {
        Self { residency, partitions }
    }

    /// The events of `fire`.
    pub(crate) fn make(
        &self,
        catalog: &Catalog,
        account: &AccountId,
        trigger: &Arc<CompiledTrigger>,
        fire: Fire,
    ) -> Made {
        let mut made = Made { account: catalog.account(account).cloned(), events: Vec::new(), bytes: 0 };
        let mut scopes = scopes_of(catalog, &self.residency, account, trigger).into_iter();
        let Some(first) = scopes.next() else { return made };
        let (id, at, revision) = (schedule::fire_id(&trigger.id, fire.at), fire.at, catalog.revision);
        // An id is at most as long as that of a trigger and a time.
        let Ok(mut event) = schedule::event(trigger, first.clone(), &id, at, Origin::Schedule) else { return made };
        made.events.reserve_exact(1 + scopes.len());
        // The events of a fire differ in their customer only.
        for scope in std::iter::once(first).chain(scopes) {
            event.scope = scope.clone();
            let record = event_record_at(&event, revision);
            made.bytes += record.size();
            let partition = partition_of_key(&record.key, self.partitions);
            let recipe = Recipe { trigger: Arc::clone(trigger), scope, at, revision };
            made.events.push(Event { recipe, partition, record });
        }
        made
    }

    /// Whether events that were made before are those that [`Maker::make`] would make now, but for the revision: of an older
    /// one that is the same to them, they may be judged by whoever has seen it.
    pub(crate) fn holds(
        &self,
        made: &Made,
        catalog: &Catalog,
        account: &AccountId,
        trigger: &Arc<CompiledTrigger>,
    ) -> bool {
        if let (Some(then), Some(now)) = (&made.account, catalog.account(account))
            && Arc::ptr_eq(then, now)
        {
            return true;
        }
        let scopes = scopes_of(catalog, &self.residency, account, trigger);
        made.events.iter().all(|event| Arc::ptr_eq(&event.recipe.trigger, trigger))
            && made.events.iter().map(|event| &event.recipe.scope).eq(&scopes)
    }
}

/// The customers that a trigger fires for: its own, or every active one of the account that lives in this cell.
pub(crate) fn scopes_of(
    catalog: &Catalog,
    residency: &Residency,
    account: &AccountId,
    trigger: &CompiledTrigger,
) -> Vec<Scope> {
    let fires = |scope: &Scope| catalog.is_active(scope) && residency.check(catalog, scope).is_ok();
    let scope = |customer| Scope::new(account.clone(), customer);
    match &trigger.customer {
        Some(customer) => Some(scope(customer.clone())).filter(fires).into_iter().collect(),
        None => {
            let account = catalog.account(account);
            let customers = account.into_iter().flat_map(|account| account.customers.keys().cloned());
            customers.map(scope).filter(fires).collect()
        }
    }
}
