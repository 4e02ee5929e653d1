//! Makes events of fires, for each customer that a trigger fires for, and appends them.
//!
//! An append whose outcome is unknown is made again: the ids are the same, so the processor admits each event once.

use std::collections::HashMap;
use std::sync::Arc;

use fastn_contract::activity::Origin;
use fastn_domain::catalog::Catalog;
use fastn_domain::partition::partition_of;
use fastn_domain::{Residency, Scope, schedule};
use fastn_log::{Log, LogErrorKind, Partition, Record, Topic, event_record_at};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::observe;
use crate::timetable::Due;

/// Records of one append.
const APPEND_RECORDS_MAX: usize = 500;

type Sent = (Partition, Vec<Record>, Result<(), LogErrorKind>);

/// Events on their way, and those that did not arrive.
pub(crate) struct Firing {
    log: Arc<dyn Log>,
    residency: Arc<Residency>,
    /// Filled up, by partition.
    open: HashMap<Partition, Vec<Record>>,
    under_way: FuturesUnordered<BoxFuture<'static, Sent>>,
    /// To be appended again.
    failed: Vec<(Partition, Vec<Record>)>,
    records_under_way: usize,
}

impl Firing {
    pub(crate) fn new(log: Arc<dyn Log>, residency: Arc<Residency>) -> Self {
        Self {
            log,
            residency,
            open: HashMap::new(),
            under_way: FuturesUnordered::new(),
            failed: Vec::new(),
            records_under_way: 0,
        }
    }

    /// Records whose appends are not answered.
    pub(crate) fn records_under_way(&self) -> usize {
        self.records_under_way
    }

    /// Makes the events of `due` and begins to append them.
    pub(crate) fn fire(&mut self, catalog: &Catalog, due: &[Due]) -> usize {
        let mut made = 0;
        for due in due {
            for scope in scopes(catalog, &self.residency, due) {
                let id = schedule::fire_id(&due.trigger.id, due.fire.at);
                // An id is at most as long as that of a trigger and a time.
                let Ok(event) = schedule::event(&due.trigger, scope, &id, due.fire.at, Origin::Schedule) else {
                    continue;
                };
                let partition = partition_of(&event.scope, self.log.partitions());
                let open = self.open.entry(partition).or_default();
                open.push(event_record_at(&event, catalog.revision));
                made += 1;
                if open.len() >= APPEND_RECORDS_MAX {
                    let records = std::mem::take(open);
                    self.append(partition, records);
                }
            }
        }
        for (partition, records) in std::mem::take(&mut self.open) {
            if !records.is_empty() {
                self.append(partition, records);
            }
        }
        made
    }

    fn append(&mut self, partition: Partition, records: Vec<Record>) {
        self.records_under_way += records.len();
        // Made now, so that appends go out in the order of the fires; kept until it is known to have arrived.
        let append = self.log.append(Topic::Events, partition, records.clone());
        self.under_way.push(Box::pin(async move {
            let outcome = append.await.map(drop).map_err(|error| {
                observe::not_appended(partition, &error);
                error.kind
            });
            (partition, records, outcome)
        }));
    }

    /// Waits until at most `left` records are under way.
    pub(crate) async fn settle(&mut self, left: usize) {
        while self.records_under_way > left {
            let Some((partition, records, outcome)) = self.under_way.next().await else { return };
            self.records_under_way -= records.len();
            match outcome {
                Ok(()) => {}
                // Too large for this log, today and tomorrow.
                Err(LogErrorKind::TooLarge) => observe::too_large(partition, records.len()),
                Err(_) => self.failed.push((partition, records)),
            }
        }
    }

    /// Appends again what did not arrive. True if nothing is left.
    pub(crate) async fn retry(&mut self) -> bool {
        for (partition, records) in std::mem::take(&mut self.failed) {
            self.append(partition, records);
        }
        self.settle(0).await;
        self.failed.is_empty()
    }
}

/// The customers that a trigger fires for: its own, or every active one of the account that lives in this cell.
fn scopes(catalog: &Catalog, residency: &Residency, due: &Due) -> Vec<Scope> {
    let fires = |scope: &Scope| catalog.is_active(scope) && residency.check(catalog, scope).is_ok();
    let scope = |customer| Scope::new(due.account.clone(), customer);
    match &due.trigger.customer {
        Some(customer) => Some(scope(customer.clone())).filter(fires).into_iter().collect(),
        None => {
            let account = catalog.account(&due.account);
            let customers = account.into_iter().flat_map(|account| account.customers.keys().cloned());
            customers.map(scope).filter(fires).collect()
        }
    }
}
