//! Which limit holds: the customer's own, else that of its tier, else that of the account's plan.

use fastn_contract::quota::{Dimension, Enforcement, Limit, QuotaSource, Quotas};
use fastn_contract::resource::Customer;

use crate::catalog::{AccountCatalog, Catalog};
use crate::scope::Scope;

/// The plan of an account that has chosen none: a server of one's own limits nobody by itself.
pub const PLAN_UNLIMITED: &str = "unlimited";
/// The plan with the small limits.
pub const PLAN_FREE: &str = "free";

/// The limits of a plan that is there without being configured.
pub fn built_in_plan(id: &str) -> Option<Quotas> {
    let limit = |limit| Some(Limit { limit, mode: None });
    match id {
        PLAN_UNLIMITED => Some(Quotas::default()),
        PLAN_FREE => Some(Quotas {
            events_per_day: limit(500),
            events_per_minute: limit(10),
            api_calls_per_day: limit(1_000),
            api_calls_per_minute: limit(20),
            ..Quotas::default()
        }),
        _ => None,
    }
}

/// How a dimension is enforced when its limit does not say.
pub const fn default_mode(dimension: Dimension) -> Enforcement {
    match dimension {
        Dimension::ConcurrentExecutions => Enforcement::Queue,
        _ => Enforcement::Hard,
    }
}

/// A limit that holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effective {
    /// Of what.
    pub dimension: Dimension,
    /// The most that is within it.
    pub limit: u64,
    /// What happens beyond it.
    pub mode: Enforcement,
    /// Where it comes from.
    pub source: QuotaSource,
}

/// What limits the events of a customer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EventLimits {
    /// In a day.
    pub day: Option<Effective>,
    /// In a minute.
    pub minute: Option<Effective>,
    /// Executions at once, where a hard, soft or shadow limit says what happens to an event.
    pub concurrent: Option<Effective>,
}

impl AccountCatalog {
    /// The limits of the account's plan.
    pub fn plan_quotas(&self) -> Quotas {
        let Some(id) = &self.plan else { return Quotas::default() };
        self.plan_named(id).unwrap_or_default()
    }

    /// The limits of this plan, configured or built in.
    pub fn plan_named(&self, id: &str) -> Option<Quotas> {
        self.plans.get(id).map(|plan| plan.quotas).or_else(|| built_in_plan(id))
    }

    /// The id of the account's plan.
    pub fn plan_id(&self) -> &str {
        self.plan.as_deref().unwrap_or(PLAN_UNLIMITED)
    }

    /// Whether any source could limit this customer: false for most, so that they pay nothing.
    fn may_limit(&self, customer: &Customer) -> bool {
        self.plan.is_some() || customer.tier.is_some() || !customer.quotas.is_empty()
    }

    /// The limit of `dimension` for `customer`, or for the account itself.
    pub fn limit(&self, customer: Option<&Customer>, dimension: Dimension) -> Option<Effective> {
        let own =
            customer.and_then(|customer| customer.quotas.get(dimension).or_else(|| older_form(customer, dimension)));
        let tier = || self.tiers.get(customer?.tier.as_deref()?)?.quotas.get(dimension);
        let plan = || self.plan_quotas().get(dimension);
        let (limit, source) = own
            .map(|limit| (limit, QuotaSource::Customer))
            .or_else(|| tier().map(|limit| (limit, QuotaSource::Tier)))
            .or_else(|| plan().map(|limit| (limit, QuotaSource::Plan)))?;
        let mode = limit.mode.unwrap_or(default_mode(dimension));
        Some(Effective { dimension, limit: limit.limit, mode, source })
    }
}

/// `concurrency`, which was there before quotas were.
fn older_form(customer: &Customer, dimension: Dimension) -> Option<Limit> {
    let concurrency = customer.concurrency.filter(|_| dimension == Dimension::ConcurrentExecutions)?;
    Some(Limit { limit: u64::from(concurrency), mode: None })
}

impl Catalog {
    /// The limit of `dimension` for this customer.
    pub fn limit(&self, scope: &Scope, dimension: Dimension) -> Option<Effective> {
        let account = self.account(&scope.account)?;
        let customer = account.customers.get(&scope.customer)?;
        if !account.may_limit(customer) {
            return older_form(customer, dimension).map(|limit| Effective {
                dimension,
                limit: limit.limit,
                mode: default_mode(dimension),
                source: QuotaSource::Customer,
            });
        }
        account.limit(Some(customer), dimension)
    }

    /// What limits the events of this customer; nothing for one that no source limits.
    pub fn event_limits(&self, scope: &Scope) -> Option<EventLimits> {
        let account = self.account(&scope.account)?;
        let customer = account.customers.get(&scope.customer)?;
        if !account.may_limit(customer) {
            return None;
        }
        let limit = |dimension| account.limit(Some(customer), dimension);
        let concurrent = limit(Dimension::ConcurrentExecutions).filter(|limit| limit.mode != Enforcement::Queue);
        let (day, minute) = (limit(Dimension::EventsPerDay), limit(Dimension::EventsPerMinute));
        let limits = EventLimits { day, minute, concurrent };
        (limits != EventLimits::default()).then_some(limits)
    }

    /// How many executions of this customer may run at once, if a limit that waits says so, and its share in the fair queue.
    pub fn share(&self, scope: &Scope) -> (Option<u32>, u32) {
        let Some(account) = self.account(&scope.account) else { return (None, 1) };
        let Some(customer) = account.customers.get(&scope.customer) else { return (None, 1) };
        if !account.may_limit(customer) {
            return (customer.concurrency, customer.weight.unwrap_or(1).max(1));
        }
        let limit = account.limit(Some(customer), Dimension::ConcurrentExecutions);
        let queued = limit.filter(|limit| limit.mode == Enforcement::Queue);
        let concurrency = queued.map(|limit| u32::try_from(limit.limit).unwrap_or(u32::MAX));
        let tier = || account.tiers.get(customer.tier.as_deref()?)?.weight;
        (concurrency, customer.weight.or_else(tier).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ResourceKind, ResourceRow};
    use crate::time::Timestamp;
    use serde_json::{Value, json};

    fn catalog(rows: &[(ResourceKind, &str, Value)]) -> Catalog {
        let rows: Vec<ResourceRow> = rows
            .iter()
            .map(|(kind, id, body)| ResourceRow {
                kind: *kind,
                account: "acc".parse().unwrap(),
                customer: None,
                id: (*id).to_owned(),
                revision: 1,
                version: 1,
                created: Timestamp(0),
                updated: Timestamp(0),
                deleted: false,
                body: body.to_string(),
            })
            .collect();
        let (catalog, errors) = Catalog::default().with(&rows);
        assert!(errors.is_empty(), "{errors:?}");
        catalog
    }

    fn scope(customer: &str) -> Scope {
        Scope::parse("acc", customer).unwrap()
    }

    /// Property: the customer's own limit goes before its tier's, that before the plan's; each dimension by itself.
    #[test]
    fn sources_in_order() {
        let catalog = catalog(&[
            (ResourceKind::QuotaSettings, "settings", json!({"plan": "free"})),
            (
                ResourceKind::CustomerTier,
                "gold",
                json!({"id": "gold", "weight": 5,
                    "quotas": {"eventsPerDay": {"limit": 9_000}, "eventsPerMinute": {"limit": 90, "mode": "queue"}}}),
            ),
            (ResourceKind::Customer, "plain", json!({"id": "plain"})),
            (ResourceKind::Customer, "gold", json!({"id": "gold", "tier": "gold"})),
            (
                ResourceKind::Customer,
                "own",
                json!({"id": "own", "tier": "gold", "weight": 2, "concurrency": 3,
                    "quotas": {"eventsPerDay": {"limit": 7, "mode": "shadow"}}}),
            ),
        ]);
        let told = |customer: &str, dimension| {
            catalog.limit(&scope(customer), dimension).map(|limit| (limit.limit, limit.mode, limit.source))
        };
        assert_eq!(told("plain", Dimension::EventsPerDay), Some((500, Enforcement::Hard, QuotaSource::Plan)));
        assert_eq!(told("gold", Dimension::EventsPerMinute), Some((90, Enforcement::Queue, QuotaSource::Tier)));
        assert_eq!(told("own", Dimension::EventsPerDay), Some((7, Enforcement::Shadow, QuotaSource::Customer)));
        assert_eq!(told("own", Dimension::EventsPerMinute), Some((90, Enforcement::Queue, QuotaSource::Tier)));
        assert_eq!(told("own", Dimension::ApiCallsPerMinute), Some((20, Enforcement::Hard, QuotaSource::Plan)));
        assert_eq!(told("own", Dimension::PayloadBytes), None);
        assert_eq!(catalog.share(&scope("gold")), (None, 5));
        assert_eq!(catalog.share(&scope("own")), (Some(3), 2));
    }

    /// Property: an account that has chosen no plan limits nobody.
    #[test]
    fn unlimited_by_default() {
        let catalog = catalog(&[(ResourceKind::Customer, "plain", json!({"id": "plain", "concurrency": 4}))]);
        assert_eq!(catalog.event_limits(&scope("plain")), None);
        assert!(
            Dimension::ALL
                .iter()
                .filter(|one| **one != Dimension::ConcurrentExecutions)
                .all(|dimension| { catalog.limit(&scope("plain"), *dimension).is_none() })
        );
        assert_eq!(catalog.share(&scope("plain")), (Some(4), 1));
    }
}
