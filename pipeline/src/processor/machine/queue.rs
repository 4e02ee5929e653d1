//! The fair queue: each customer has its own, and customers take turns by weight, so that one with 100,000 queued
//! executions delays no neighbour.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_domain::catalog::Catalog;
use fastn_domain::ids::ExecutionId;
use fastn_domain::scope::Scope;

use super::execution::Execution;

/// The classes of a customer's queue, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// Goes on after a wait: it has begun and others may depend on it.
    Resumed = 0,
    /// Started by a person or program that waits for it.
    User = 1,
    /// Started by a webhook or an event.
    Event = 2,
    /// Started by a schedule.
    Background = 3,
    /// Started by polling.
    Polling = 4,
}

const LANES: usize = 5;

impl Lane {
    pub(super) fn of(origin: Origin) -> Self {
        match origin {
            Origin::Manual | Origin::Command => Lane::User,
            Origin::Webhook | Origin::Api | Origin::Workflow => Lane::Event,
            Origin::Schedule => Lane::Background,
            Origin::Polling => Lane::Polling,
        }
    }

    /// As flow control says, else by origin.
    pub(super) fn of_execution(execution: &Execution) -> Self {
        match execution.flow.as_ref().and_then(|flow| flow.priority) {
            Some(1) => Lane::User,
            Some(2) => Lane::Event,
            Some(3) => Lane::Background,
            Some(_) => Lane::Polling,
            None => Lane::of(execution.triggered_by),
        }
    }
}

/// Queued executions of every customer of a partition, and how many each has running.
#[derive(Debug)]
pub(super) struct FairQueue {
    customers: HashMap<Arc<Scope>, Customer>,
    /// Customers with something to run and room to run it, in the order of their turns.
    ring: VecDeque<Arc<Scope>>,
    queued: usize,
    concurrency_default: u32,
}

#[derive(Debug, Default)]
struct Customer {
    lanes: [VecDeque<ExecutionId>; LANES],
    running: u32,
    /// Executions it may still start in this turn.
    credit: u32,
    in_ring: bool,
}

impl Customer {
    fn take(&mut self) -> Option<ExecutionId> {
        self.lanes.iter_mut().find_map(VecDeque::pop_front)
    }

    fn is_empty(&self) -> bool {
        self.lanes.iter().all(VecDeque::is_empty)
    }
}

impl FairQueue {
    pub(super) fn new(concurrency_default: u32) -> Self {
        Self { customers: HashMap::new(), ring: VecDeque::new(), queued: 0, concurrency_default }
    }

    pub(super) fn len(&self) -> usize {
        self.queued
    }

    /// Executions of this customer that run, or wait for nothing but their turn.
    pub(super) fn load(&self, scope: &Scope) -> usize {
        let of =
            |customer: &Customer| customer.running as usize + customer.lanes.iter().map(VecDeque::len).sum::<usize>();
        self.customers.get(scope).map_or(0, of)
    }

    /// Executions of all customers that run.
    pub(super) fn running(&self) -> usize {
        self.customers.values().map(|customer| customer.running as usize).sum()
    }

    pub(super) fn push(&mut self, scope: &Arc<Scope>, lane: Lane, execution: ExecutionId) {
        let customer = self.customers.entry(Arc::clone(scope)).or_default();
        customer.lanes[lane as usize].push_back(execution);
        self.queued += 1;
        if !customer.in_ring {
            customer.in_ring = true;
            self.ring.push_back(Arc::clone(scope));
        }
    }

    /// The next execution to run: it counts as running until [`FairQueue::release`].
    ///
    /// A customer's turn lasts for `weight` executions. One that has no room left leaves the ring, and comes back when one
    /// of its executions ends.
    pub(super) fn pop(&mut self, catalog: &Catalog) -> Option<(Arc<Scope>, ExecutionId)> {
        while let Some(scope) = self.ring.front() {
            let (concurrency, weight) = catalog.share(scope);
            let concurrency = concurrency.unwrap_or(self.concurrency_default);
            let Some(customer) = self.customers.get_mut(scope) else {
                self.ring.pop_front();
                continue;
            };
            let next = if customer.running < concurrency { customer.take() } else { None };
            let Some(execution) = next else {
                customer.in_ring = false;
                customer.credit = 0;
                let scope = self.ring.pop_front();
                if customer.is_empty() && customer.running == 0 {
                    scope.map(|scope| self.customers.remove(&scope));
                }
                continue;
            };
            customer.running += 1;
            self.queued -= 1;
            customer.credit = customer.credit.checked_sub(1).unwrap_or(weight - 1);
            let turn_over = customer.credit == 0;
            let scope = Arc::clone(scope);
            if turn_over {
                self.ring.rotate_left(1);
            }
            return Some((scope, execution));
        }
        None
    }

    /// An execution of `scope` no longer runs.
    pub(super) fn release(&mut self, scope: &Arc<Scope>) {
        let Some(customer) = self.customers.get_mut(scope) else { return };
        customer.running = customer.running.saturating_sub(1);
        if customer.is_empty() {
            if customer.running == 0 && !customer.in_ring {
                self.customers.remove(scope);
            }
        } else if !customer.in_ring {
            customer.in_ring = true;
            self.ring.push_back(Arc::clone(scope));
        }
    }

    /// Takes one out that ended while it was queued. Linear in its customer's queue: cancellations are rare.
    pub(super) fn remove(&mut self, scope: &Arc<Scope>, execution: ExecutionId) {
        let Some(customer) = self.customers.get_mut(scope) else { return };
        for lane in &mut customer.lanes {
            let before = lane.len();
            lane.retain(|other| *other != execution);
            self.queued -= before - lane.len();
        }
    }

    /// The configuration changed: customers whose limit kept them out may have room now.
    pub(super) fn limits_changed(&mut self) {
        let mut back: Vec<Arc<Scope>> = Vec::new();
        for (scope, customer) in &mut self.customers {
            if !customer.in_ring && !customer.is_empty() {
                customer.in_ring = true;
                back.push(Arc::clone(scope));
            }
        }
        back.sort();
        self.ring.extend(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastn_domain::catalog::{ResourceKind, ResourceRow};
    use fastn_domain::time::Timestamp;

    fn scope(customer: &str) -> Arc<Scope> {
        Arc::new(Scope::parse("acc", customer).unwrap())
    }

    fn catalog(customers: &[(&str, u32, u32)]) -> Catalog {
        let rows: Vec<ResourceRow> = customers
            .iter()
            .map(|(id, concurrency, weight)| ResourceRow {
                kind: ResourceKind::Customer,
                account: "acc".parse().unwrap(),
                customer: None,
                id: (*id).to_owned(),
                revision: 1,
                version: 1,
                created: Timestamp(0),
                updated: Timestamp(0),
                deleted: false,
                body: format!(r#"{{"id":"{id}","concurrency":{concurrency},"weight":{weight}}}"#),
            })
            .collect();
        Catalog::default().with(&rows).0
    }

    /// Property: a customer that floods the queue and one with a single execution alternate.
    #[test]
    fn a_flood_delays_no_neighbour() {
        let catalog = catalog(&[("noisy", 100_000, 1), ("quiet", 100, 1)]);
        let mut queue = FairQueue::new(10);
        (0..100_000).for_each(|n| queue.push(&scope("noisy"), Lane::Event, ExecutionId(n)));
        queue.push(&scope("quiet"), Lane::Event, ExecutionId(u128::MAX));
        let position = (0..).find(|_| queue.pop(&catalog).is_some_and(|(_, id)| id == ExecutionId(u128::MAX)));
        assert_eq!(position, Some(1));
    }

    /// Property: shares follow weights, and nobody passes its concurrency.
    #[test]
    fn weights_and_concurrency() {
        let catalog = catalog(&[("heavy", 100, 3), ("light", 2, 1)]);
        let mut queue = FairQueue::new(10);
        for n in 0..40 {
            queue.push(&scope("heavy"), Lane::Event, ExecutionId(n));
            queue.push(&scope("light"), Lane::Event, ExecutionId(1_000 + n));
        }
        let taken: Vec<bool> = (0..8).map(|_| queue.pop(&catalog).unwrap().1 < ExecutionId(1_000)).collect();
        assert_eq!(taken, [true, true, true, false, true, true, true, false]);
        let light = std::iter::from_fn(|| queue.pop(&catalog)).filter(|(_, id)| *id >= ExecutionId(1_000)).count();
        assert_eq!(light, 0, "light has 2 running already");
        queue.release(&scope("light"));
        assert_eq!(queue.pop(&catalog).map(|(_, id)| id), Some(ExecutionId(1_002)));
    }

    /// Property: within a customer the more urgent lane goes first.
    #[test]
    fn lanes_in_order() {
        let mut queue = FairQueue::new(10);
        for (n, lane) in
            [Lane::Polling, Lane::Background, Lane::Event, Lane::User, Lane::Resumed].into_iter().enumerate()
        {
            queue.push(&scope("c"), lane, ExecutionId(n as u128));
        }
        let order: Vec<u128> = std::iter::from_fn(|| queue.pop(&Catalog::default())).map(|(_, id)| id.0).collect();
        assert_eq!(order, [4, 3, 2, 1, 0]);
    }
}
