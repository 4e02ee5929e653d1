//! Makes the events of fires: one for each customer that a trigger fires for.
//!
//! An event depends on its trigger, on the fire, and on which customers are active. So it can be made before it is due,
//! when there is time for it; whoever sends it then asks first whether it still [holds](Maker::holds).

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

    /// The events of `fire`, each made when it is asked for: a payload times all customers may be much.
    pub(crate) fn events(
        &self,
        catalog: &Catalog,
        account: &AccountId,
        trigger: &Arc<CompiledTrigger>,
        fire: Fire,
    ) -> impl Iterator<Item = Event> + use<> {
        let scopes = scopes_of(catalog, &self.residency, account, trigger);
        let (partitions, trigger, at, revision) = (self.partitions, Arc::clone(trigger), fire.at, catalog.revision);
        let id = schedule::fire_id(&trigger.id, at);
        // An id is at most as long as that of a trigger and a time.
        let first = scopes.first().cloned();
        let mut event = first.and_then(|scope| schedule::event(&trigger, scope, &id, at, Origin::Schedule).ok());
        scopes.into_iter().filter_map(move |scope| {
            // The events of a fire differ in their customer only.
            let event = event.as_mut()?;
            event.scope = scope.clone();
            let record = event_record_at(event, revision);
            let partition = partition_of_key(&record.key, partitions);
            Some(Event { recipe: Recipe { trigger: Arc::clone(&trigger), scope, at, revision }, partition, record })
        })
    }

    /// The events of `fire`, to be kept; none if their records have more than `bytes_max`.
    pub(crate) fn make(
        &self,
        catalog: &Catalog,
        account: &AccountId,
        trigger: &Arc<CompiledTrigger>,
        fire: Fire,
        bytes_max: usize,
    ) -> Option<Made> {
        let mut made = Made { account: catalog.account(account).cloned(), events: Vec::new(), bytes: 0 };
        for event in self.events(catalog, account, trigger, fire) {
            made.bytes += event.record.size();
            if made.bytes > bytes_max {
                return None;
            }
            made.events.push(event);
        }
        made.events.shrink_to_fit();
        Some(made)
    }

    /// Whether events that were made before are those that [`Maker::events`] would make now, but for the revision: of an older
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
