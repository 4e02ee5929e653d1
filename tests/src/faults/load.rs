//! A steady load: so many events a second, each sent until it is accepted, spread evenly over customers and so partitions.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastn_domain::partition::partition_of_key;
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::SendEvent;
use serde_json::json;
use tokio::task::JoinSet;

use crate::server::ACCOUNT;

/// Longest time that one attempt to send may take; an unanswered one is made again with the same id.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Pause before an event is sent again.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);
/// Events under way at once: a load that nobody accepts stops growing there.
const UNDER_WAY_MAX: usize = 400;
/// Every so many events, one is sent again after it was accepted, so that admission meets duplicates.
const TWICE_EVERY: usize = 10;

/// An event that was answered 202.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    /// When the answer came.
    pub at: Instant,
    /// The partition of its customer.
    pub partition: u32,
}

/// A customer of the load.
#[derive(Clone, Debug)]
pub struct LoadCustomer {
    /// Its id.
    pub id: String,
    /// The partition that it lives in.
    pub partition: u32,
}

/// `each` customers for every partition.
pub fn customers(partitions: u32, each: usize) -> Vec<LoadCustomer> {
    let mut found: Vec<Vec<LoadCustomer>> = vec![Vec::new(); partitions as usize];
    for n in 0.. {
        let id = format!("cus_{n}");
        let partition = partition_of_key(format!("{ACCOUNT}/{id}").as_bytes(), partitions);
        if found[partition as usize].len() < each {
            found[partition as usize].push(LoadCustomer { id, partition });
        }
        if found.iter().all(|customers| customers.len() == each) {
            break;
        }
    }
    // One of each partition in turn, so that a round over them is a round over the partitions.
    (0..each).flat_map(|nth| found.iter().map(move |customers| customers[nth].clone())).collect()
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    pacer: tokio::task::JoinHandle<JoinSet<()>>,
    /// When it began.
    pub began: Instant,
}

struct Shared {
    /// One client for each node that takes events.
    targets: Vec<Fastn>,
    accepted: Mutex<HashMap<String, Accepted>>,
    under_way: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Starts `per_second` events a second to `targets` in turn.
    pub fn start(targets: Vec<Fastn>, customers: Vec<LoadCustomer>, per_second: u32) -> Self {
        let shared = Arc::new(Shared {
            targets,
            accepted: Mutex::default(),
            under_way: AtomicUsize::new(0),
            stop: AtomicBool::new(false),
        });
        let pacer = tokio::spawn(pace(Arc::clone(&shared), customers, per_second));
        Self { shared, pacer, began: Instant::now() }
    }

    /// How many events were accepted so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted().len()
    }

    /// Sends no new event, waits at most `limit` until those under way are accepted, and returns the accepted ones by id.
    ///
    /// # Errors
    /// The load ended by itself.
    pub async fn stop(self, limit: Duration) -> anyhow::Result<HashMap<String, Accepted>> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let mut senders = self.pacer.await?;
        let _the_rest_was_never_accepted =
            tokio::time::timeout(limit, async { while senders.join_next().await.is_some() {} }).await;
        senders.shutdown().await;
        Ok(self.shared.accepted().clone())
    }
}

impl Shared {
    fn accepted(&self) -> std::sync::MutexGuard<'_, HashMap<String, Accepted>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, n: usize, customer: &LoadCustomer) {
        let id = format!("{}-{n}", customer.id);
        let body = json!({"id": id, "type": "job", "data": {"n": n}});
        let event: SendEvent = serde_json::from_value(body).expect("this is an event");
        for attempt in 0.. {
            if self.attempt(n + attempt, customer, &event).await {
                break;
            }
            tokio::time::sleep(ATTEMPT_PAUSE).await;
        }
        self.accepted().insert(id, Accepted { at: Instant::now(), partition: customer.partition });
        if n.is_multiple_of(TWICE_EVERY) {
            let _whether_accepted_or_not = self.attempt(n + 1, customer, &event).await;
        }
    }

    async fn attempt(&self, n: usize, customer: &LoadCustomer, event: &SendEvent) -> bool {
        let client = self.targets[n % self.targets.len()].customer(&customer.id);
        matches!(tokio::time::timeout(ATTEMPT_TIMEOUT, client.send(event)).await, Ok(Ok(_)))
    }
}

async fn pace(shared: Arc<Shared>, customers: Vec<LoadCustomer>, per_second: u32) -> JoinSet<()> {
    let mut senders = JoinSet::new();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / per_second);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    for n in 0.. {
        tick.tick().await;
        if shared.stop.load(Ordering::Relaxed) {
            break;
        }
        while senders.try_join_next().is_some() {}
        if shared.under_way.load(Ordering::Relaxed) >= UNDER_WAY_MAX {
            continue;
        }
        let (shared, customer) = (Arc::clone(&shared), customers[n % customers.len()].clone());
        shared.under_way.fetch_add(1, Ordering::Relaxed);
        senders.spawn(async move {
            shared.send(n, &customer).await;
            shared.under_way.fetch_sub(1, Ordering::Relaxed);
        });
    }
    senders
}
