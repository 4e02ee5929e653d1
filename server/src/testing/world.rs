//! A node in a temporary directory, on a clock that is moved.
//!
//! Time is moved from one instant at which something is due to the next, and at each of them the node comes to rest before
//! the clock goes on. So everything happens at its own time and in order, as if so much time had really passed; the node
//! never sees a jump, which it would take for an outage.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use fastn_contract::resource::Customer;
use fastn_domain::time::{Clock as _, Timestamp};
use fastn_log::Offset;
use fastn_sdk::Fastn;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use super::TestError;
use super::clock::VirtualClock;
use super::directory::Directory;
use super::mocks::Mocks;
use crate::config::{Layer, ServeConfig};
use crate::project::{self, Project};
use crate::wiring::{Node, Surroundings, key_file, write_private};

/// The account when the project names none.
const ACCOUNT_DEFAULT: &str = "acc_test";
/// The customer when the project names none.
const CUSTOMER_DEFAULT: &str = "cus_test";
/// One customer has one partition, and a test has few.
const PARTITIONS: u32 = 1;
/// Between two looks at whether the node is at rest.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// Time passes in steps of at most so long where only alert rules are evaluated: every few seconds would be ten thousand
/// stops a day.
const EVALUATION_STEP: Duration = Duration::from_secs(60);

/// How a test's platform is made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// A project's folder.
    pub(crate) project: Option<PathBuf>,
    /// Where the clock starts; the system's time when absent.
    pub(crate) at: Option<Timestamp>,
    /// Whether the clock stands still unless it is moved.
    pub(crate) frozen: bool,
    /// Whether calls that no mock answers go out.
    pub(crate) allow_network: bool,
}

/// Where the clock is, and what happened on the way there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Moved {
    /// Where the clock is now, RFC 3339.
    pub now: String,
    /// Executions that were started since the clock was moved or waited for before.
    pub executions_started: u64,
    /// Instants at which the clock stopped because something was due.
    pub stops: u64,
}

/// See the head of this file.
pub(crate) struct World {
    options: Options,
    address: SocketAddr,
    pub(crate) url: String,
    pub(crate) account: String,
    pub(crate) customer: String,
    pub(crate) access_key: String,
    /// Held while time is moved, or the node is waited for or made anew.
    moving: Mutex<()>,
    run: RwLock<Arc<Run>>,
}

/// One node, from one reset to the next.
pub(crate) struct Run {
    pub(crate) clock: VirtualClock,
    pub(crate) mocks: Arc<Mocks>,
    pub(crate) app: Router,
    node: Mutex<Option<Live>>,
}

/// A node that runs.
struct Live {
    node: Node,
    /// Executions that it had started when that was told last.
    told: u64,
    // It goes when the node has gone.
    _directory: Directory,
}

impl Live {
    fn moved(&mut self, run: &Run, stops: u64) -> Moved {
        let started = self.node.started();
        let executions_started = started - std::mem::replace(&mut self.told, started);
        Moved { now: run.clock.now().to_string(), executions_started, stops }
    }
}

impl World {
    /// Starts a node that is reached at `address`, and fills it with the project.
    pub(crate) async fn start(options: Options, address: SocketAddr) -> anyhow::Result<Self> {
        let project = read(&options)?;
        let account = project.manifest.account.clone().unwrap_or_else(|| ACCOUNT_DEFAULT.to_owned());
        let customer = project.manifest.customers.first().map_or(CUSTOMER_DEFAULT, |customer| &customer.id).to_owned();
        let (access_key, _) = fastn_store::new_access_key("fsk_test_");
        let run = start(&options, address, &account, &access_key).await?;
        let url = format!("http://{address}");
        let (moving, run) = (Mutex::new(()), RwLock::new(Arc::new(run)));
        Ok(Self { options, address, url, account, customer, access_key, moving, run })
    }

    /// Applies the project. Somebody must listen already: it goes through the API.
    pub(crate) async fn fill(&self) -> anyhow::Result<()> {
        let mut project = read(&self.options)?;
        project.fill_for_tests(&self.url)?;
        let applied = project::apply(&self.client()?, &project, || {}).await;
        anyhow::ensure!(applied.refused.is_empty(), "the project was refused:\n  {}", applied.refused.join("\n  "));
        Ok(())
    }

    pub(crate) fn client(&self) -> anyhow::Result<Fastn> {
        Ok(Fastn::builder().url(&self.url).access_key(&self.access_key).account(&self.account).build()?)
    }

    pub(crate) fn run(&self) -> Arc<Run> {
        self.run.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Waits until the node is at rest, at most `limit`.
    pub(crate) async fn settle(&self, limit: Duration) -> Result<Moved, TestError> {
        let _alone = self.moving.lock().await;
        let run = self.run();
        let mut live = run.node.lock().await;
        let live = live.as_mut().ok_or(TestError::Stopped)?;
        Travel::new(&run, &live.node, limit).rest().await?;
        Ok(live.moved(&run, 0))
    }

    /// Moves the clock by `by`, through all that becomes due on the way, and waits until the node is at rest.
    pub(crate) async fn advance(&self, by: Duration, limit: Duration) -> Result<Moved, TestError> {
        self.travel(|now| now.plus(by), limit).await
    }

    /// Moves the clock to `to` like that.
    pub(crate) async fn advance_to(&self, to: Timestamp, limit: Duration) -> Result<Moved, TestError> {
        let now = self.run().clock.now();
        if to < now {
            return Err(TestError::Refused(format!("the clock is at {now} and does not go back to {to}")));
        }
        self.travel(|_| to, limit).await
    }

    async fn travel(&self, target: impl FnOnce(Timestamp) -> Timestamp, limit: Duration) -> Result<Moved, TestError> {
        let _alone = self.moving.lock().await;
        let run = self.run();
        let mut live = run.node.lock().await;
        let live = live.as_mut().ok_or(TestError::Stopped)?;
        run.clock.stop();
        let _runs_on = RunsOn(&run.clock, !self.options.frozen);
        let target = target(run.clock.now());
        let stops = Travel::new(&run, &live.node, limit).to(target).await?;
        Ok(live.moved(&run, stops))
    }

    /// Makes everything empty again: another node with the same key at the same address, the clock where it started.
    pub(crate) async fn reset(&self) -> anyhow::Result<()> {
        {
            let _alone = self.moving.lock().await;
            self.stop_node().await?;
            let run = start(&self.options, self.address, &self.account, &self.access_key).await?;
            *self.run.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Arc::new(run);
        }
        self.fill().await
    }

    /// Ends the node.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let _alone = self.moving.lock().await;
        self.stop_node().await
    }

    async fn stop_node(&self) -> anyhow::Result<()> {
        match self.run().node.lock().await.take() {
            Some(Live { node, _directory, .. }) => node.stop().await,
            None => Ok(()),
        }
    }
}

/// Lets a clock run on when the travel is over, however it ended.
struct RunsOn<'c>(&'c VirtualClock, bool);

impl Drop for RunsOn<'_> {
    fn drop(&mut self) {
        if self.1 {
            self.0.run();
        }
    }
}

/// A way through time.
struct Travel<'r> {
    run: &'r Run,
    node: &'r Node,
    deadline: Instant,
    limit: Duration,
    /// The ends of the log when failures were looked at here; nothing where they were not yet.
    looked: Vec<Offset>,
}

impl<'r> Travel<'r> {
    fn new(run: &'r Run, node: &'r Node, limit: Duration) -> Self {
        Self { run, node, deadline: Instant::now() + limit, limit, looked: Vec::new() }
    }

    async fn to(&mut self, target: Timestamp) -> Result<u64, TestError> {
        let (mut stops, mut evaluated) = (0, self.run.clock.now());
        loop {
            self.rest().await?;
            let now = self.run.clock.now();
            let evaluation = self.node.next_evaluation().max(evaluated.plus(EVALUATION_STEP));
            let due = self.node.next_work().await?.min(evaluation);
            let due = self.run.mocks.next_due().map_or(due, |held_up| due.min(held_up));
            if due >= target {
                if now >= target {
                    return Ok(stops);
                }
                self.run.clock.move_to(target);
                continue;
            }
            if due == evaluation {
                evaluated = due;
            }
            stops += 1;
            self.looked.clear();
            self.run.clock.move_to(due);
        }
    }

    /// Waits until nothing goes on and nothing is due.
    async fn rest(&mut self) -> Result<(), TestError> {
        loop {
            match self.node.at_work(|| self.run.mocks.held_up()).await? {
                None => {
                    // What failed may switch schedules off, and what was off long enough on again: a change like any other.
                    let ends = self.node.ends();
                    if self.looked == ends {
                        return Ok(());
                    }
                    self.node.look_at_failures().await;
                    self.looked = ends;
                }
                Some(what) if Instant::now() >= self.deadline => {
                    return Err(TestError::NotAtRest {
                        what,
                        now: self.run.clock.now().to_string(),
                        limit: self.limit,
                    });
                }
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}

fn read(options: &Options) -> anyhow::Result<Project> {
    let mut project = match &options.project {
        Some(directory) => Project::read(directory)?,
        None => Project::default(),
    };
    if project.manifest.customers.is_empty() {
        project.manifest.customers.push(demo_customer());
    }
    Ok(project)
}

fn demo_customer() -> Customer {
    Customer {
        id: CUSTOMER_DEFAULT.to_owned(),
        name: "Test".to_owned(),
        status: Default::default(),
        concurrency: None,
        weight: None,
        tier: None,
        quotas: Default::default(),
        region: None,
        encrypt_log: false,
    }
}

async fn start(options: &Options, address: SocketAddr, account: &str, access_key: &str) -> anyhow::Result<Run> {
    let directory = Directory::make()?;
    let data = directory.path().to_owned();
    let layer = Layer {
        data: Some(data.clone()),
        partitions: Some(PARTITIONS),
        account: Some(account.to_owned()),
        public_url: Some(format!("http://{address}")),
        ..Layer::default()
    };
    let config = ServeConfig::of(layer, None, true)?;
    write_private(&key_file(&data), access_key)?;
    let at = options.at.unwrap_or_else(crate::clock::now);
    // What is made at the instant of the start is made after the start, on a clock that stands still too.
    let clock = VirtualClock::standing(Timestamp(at.0 - 1_000));
    let mocks = Mocks::new(Arc::new(clock.clone()), options.allow_network);
    let surroundings =
        Surroundings { clock: Arc::new(clock.clone()), intercept: Some(mocks.intercept()), hurried: true };
    let node = Node::start_in(surroundings, &config, address, Router::new()).await.context("start the node")?;
    clock.move_to(at);
    if !options.frozen {
        clock.run();
    }
    let app = node.app.clone();
    let live = Live { node, told: 0, _directory: directory };
    Ok(Run { clock, mocks, app, node: Mutex::new(Some(live)) })
}
