//! One run: a cluster under a steady load, with a sink; what happens to it in between is the scenario's.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::ExecutionStatus;
use serde_json::json;

use super::cluster::{Cluster, PARTITIONS, Plan};
use super::load::{self, Accepted, Load, LoadCustomer};
use super::network;
use super::oracle::{Report, Shown, Zombie, workflow};
use crate::server::{put_customer, put_workflow};
use crate::{DEADLINE, Sink};

/// Customers of each partition.
const CUSTOMERS_EACH: usize = 3;
/// Events a second: each partition sees some every second, and two cores bear it beside three brokers.
const EVENTS_PER_SECOND: u32 = 32;
/// How long an endpoint takes to answer.
const SINK_DELAY: Duration = Duration::from_millis(5);
/// Longest time that a zombie may take to notice, after it runs again or is connected again.
const NOTICE_MAX: Duration = Duration::from_secs(15);
/// Longest wait after the load for everything to complete and to be shown.
const SETTLE_MAX: Duration = Duration::from_secs(240);

/// A run.
pub struct Rig {
    name: String,
    /// The cluster, to be broken.
    pub cluster: Cluster,
    /// Where calls arrive.
    pub sink: Sink,
    load: Load,
    customers: Vec<LoadCustomer>,
    zombies: Vec<Zombie>,
}

impl Rig {
    /// Starts everything and waits until the load flows.
    ///
    /// # Errors
    /// Something does not start.
    pub async fn start(name: &str, plan: &Plan) -> anyhow::Result<Self> {
        let began = Instant::now();
        let cluster = Cluster::start(plan).await?;
        let address = if plan.cut_off.is_some() { network::HOST } else { "127.0.0.1" };
        let sink = Sink::start_on(address, SINK_DELAY).await?;
        let customers = load::customers(PARTITIONS, CUSTOMERS_EACH);
        let client = cluster.client("api")?;
        for customer in &customers {
            put_customer(&client, &customer.id, json!({})).await?;
        }
        put_workflow(&client, "job", json!({"tier": "long"}), &workflow(&sink.url)).await?;
        let targets = cluster.clients("ingest")?;
        let load = Load::start(targets, customers.clone(), EVENTS_PER_SECOND);
        let rig = Self { name: name.to_owned(), cluster, sink, load, customers, zombies: Vec::new() };
        rig.know_pids()?;
        rig.flows(PARTITIONS as usize * 4).await?;
        eprintln!("{name}: runs after {:.0} s", began.elapsed().as_secs_f64());
        Ok(rig)
    }

    /// Tells the sink about the processes, so that it can tell their calls apart.
    ///
    /// # Errors
    /// A node is down.
    pub fn know_pids(&self) -> anyhow::Result<()> {
        for name in self.cluster.with_role("pipeline") {
            self.sink.know(self.cluster.pid(name)?);
        }
        Ok(())
    }

    /// Waits until `more` calls have arrived from now on.
    ///
    /// # Errors
    /// They don't arrive in time.
    pub async fn flows(&self, more: usize) -> anyhow::Result<()> {
        let (began, before) = (Instant::now(), self.sink.calls().len());
        while self.sink.calls().len() < before + more {
            ensure!(began.elapsed() < DEADLINE, "{}: the load does not flow; see {}", self.name, self.folder());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Lets the load run.
    pub async fn run_for(&self, seconds: u64) {
        self.say(&format!("{seconds} s of load"));
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Tells what happens, with the numbers so far.
    pub fn say(&self, what: &str) {
        let (accepted, calls) = (self.load.accepted(), self.sink.calls().len());
        let at = self.load.began.elapsed().as_secs_f64();
        eprintln!("{} {at:6.1} s: {what} (accepted {accepted}, calls {calls})", self.name);
    }

    /// Kills a node, lets the load go on without it, and starts it again.
    ///
    /// # Errors
    /// It does not run, or does not start again.
    pub async fn kill_and_return(&mut self, name: &str, seconds_away: u64) -> anyhow::Result<()> {
        self.say(&format!("kill -9 {name}"));
        self.cluster.kill(name)?;
        self.run_for(seconds_away).await;
        self.cluster.start_node(name).await?;
        self.know_pids()?;
        self.say(&format!("{name} is back"));
        Ok(())
    }

    /// From `from` until a while after now, calls of `pid` may be those of a zombie.
    pub fn was_zombie(&mut self, pid: u32, from: Instant) {
        self.zombies.push(Zombie { pid, from, until: Instant::now() + NOTICE_MAX });
    }

    fn folder(&self) -> std::path::Display<'_> {
        self.cluster.folder().display()
    }

    /// Ends the load, waits until everything has completed, and judges. Prints the report.
    ///
    /// # Errors
    /// Activity can't be read.
    pub async fn finish(mut self) -> anyhow::Result<Report> {
        self.say("the load ends");
        let (began, ended) = (self.load.began, Instant::now());
        let accepted = self.load.stop(DEADLINE).await?;
        let shown = wait_for_all(&self.cluster, &self.customers, &accepted).await?;
        let report = Report::judge(&self.name, (began, ended), &accepted, &self.sink.calls(), &shown, &self.zombies);
        println!("{report}");
        if report.holds() {
            self.cluster.forget();
        }
        Ok(report)
    }
}

async fn wait_for_all(
    cluster: &Cluster,
    customers: &[LoadCustomer],
    accepted: &HashMap<String, Accepted>,
) -> anyhow::Result<HashMap<String, Shown>> {
    let client = cluster.client("api")?;
    let began = Instant::now();
    loop {
        let shown = match shown(&client, customers).await {
            Ok(shown) => shown,
            Err(error) if began.elapsed() > SETTLE_MAX => return Err(error),
            // The database may be busy with what it missed.
            Err(_) => HashMap::new(),
        };
        let missing = accepted.keys().filter(|id| shown.get(*id).is_none_or(|seen| seen.completed == 0)).count();
        if missing == 0 || began.elapsed() > SETTLE_MAX {
            return Ok(shown);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// What Activity shows now.
async fn shown(client: &Fastn, customers: &[LoadCustomer]) -> anyhow::Result<HashMap<String, Shown>> {
    let mut shown: HashMap<String, Shown> = HashMap::new();
    for customer in customers {
        for execution in client.customer(&customer.id).executions().take(1_000_000).await? {
            let seen = shown.entry(execution.event_id).or_default();
            seen.executions += 1;
            seen.steps += execution.step_count as usize;
            seen.completed += usize::from(execution.status == ExecutionStatus::Completed);
        }
    }
    Ok(shown)
}
