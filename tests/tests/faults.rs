//! What must be shown under faults, each under a steady load, counted at a sink. The long ones run by `make faults`, one at
//! a time: `cargo test -p fastn-tests --test faults -- --ignored --nocapture <name>`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::ensure;
use fastn_tests::faults::{Plan, Report, Rig};

/// The longest that a partition may be idle while pipelines come and go, by the issue that asks for it.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How long a node is away that was killed: longer than it takes to notice.
const AWAY_SECONDS: u64 = 12;

/// Two cores bear one cluster at a time.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

fn hold(report: &Report) {
    assert!(report.accepted > 0 && report.holds(), "{report}");
}

/// Kills the first node with `role` and lets it return.
async fn role_killed(role: &str) -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut rig = Rig::start(&format!("{role}_killed"), &Plan::cluster()).await?;
    rig.run_for(8).await;
    let node = rig.cluster.with_role(role)[0];
    rig.kill_and_return(node, AWAY_SECONDS).await?;
    rig.run_for(10).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: the rig's promises hold for one process with an embedded log that is killed, which is how the rig itself is
/// tested.
#[tokio::test(flavor = "multi_thread")]
async fn embedded_killed() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut rig = Rig::start("embedded_killed", &Plan::embedded()).await?;
    for _ in 0..3 {
        rig.run_for(2).await;
        rig.kill_and_return("all", 1).await?;
    }
    rig.flows(64).await?;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: kill -9 of a process that takes events loses none that was answered 202.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn ingest_killed() -> anyhow::Result<()> {
    role_killed("ingest").await
}

/// Property: kill -9 of a process that runs workflows loses nothing and repeats nothing whose result was seen.
#[tokio::test(flavor = "multi_thread")]
async fn pipeline_killed() -> anyhow::Result<()> {
    role_killed("pipeline").await
}

/// Property: kill -9 of the projector doubles and loses no row of Activity.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn projector_killed() -> anyhow::Result<()> {
    role_killed("projector").await
}

/// Property: kill -9 of the scheduler disturbs nothing that runs.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn scheduler_killed() -> anyhow::Result<()> {
    role_killed("scheduler").await
}

/// Property: kill -9 of the API leaves events and workflows as they are.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn api_killed() -> anyhow::Result<()> {
    role_killed("api").await
}

/// Property: kill -9 of the broker that leads a partition of the events, then of the journal, loses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn broker_leader_killed() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rig = Rig::start("broker_leader_killed", &Plan::cluster()).await?;
    for (topic, partition) in [("events", "0"), ("executions", "1")] {
        rig.run_for(6).await;
        let leader = rig.cluster.script("kafka.sh", &["leader", topic, partition])?;
        rig.say(&format!("kill -9 of broker {leader}, which leads {topic}/{partition}"));
        rig.cluster.script("kafka.sh", &["kill", &leader])?;
        rig.run_for(AWAY_SECONDS).await;
        rig.cluster.script("kafka.sh", &["start", &leader])?;
    }
    rig.run_for(6).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: with all brokers away for 30 s nothing is answered 202 that is lost, and everything goes on when they return.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn all_brokers_away() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rig = Rig::start("all_brokers_away", &Plan::cluster()).await?;
    rig.run_for(6).await;
    rig.say("kill -9 of all brokers");
    rig.cluster.script("kafka.sh", &["kill", "all"])?;
    rig.run_for(30).await;
    rig.cluster.script("kafka.sh", &["start"])?;
    rig.say("all brokers are back");
    rig.flows(256).await?;
    rig.run_for(10).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: a process that is frozen past its session and continued is not believed, and what it still sends carries the
/// keys of those who took over.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn zombie() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut rig = Rig::start("zombie", &Plan::cluster()).await?;
    for node in ["pipeline-1", "pipeline-2"] {
        rig.run_for(6).await;
        let (pid, from) = (rig.cluster.pid(node)?, Instant::now());
        rig.say(&format!("freeze {node}"));
        rig.cluster.signal(node, "STOP")?;
        rig.run_for(25).await;
        rig.say(&format!("thaw {node}"));
        rig.was_zombie(pid, from);
        rig.cluster.signal(node, "CONT")?;
        rig.run_for(10).await;
    }
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: pipelines go from one to three and back under load, and no partition is idle longer than 10 s.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn scale_out_and_in() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut plan = Plan::cluster();
    plan.nodes.retain(|(name, _)| *name != "pipeline-2");
    let mut rig = Rig::start("scale_out_and_in", &plan).await?;
    rig.run_for(10).await;
    for node in ["pipeline-2", "pipeline-3"] {
        rig.cluster.add(node, "pipeline", false).await?;
        rig.know_pids()?;
        rig.say(&format!("{node} joined"));
        rig.run_for(12).await;
    }
    for node in ["pipeline-3", "pipeline-2"] {
        rig.cluster.stop(node).await?;
        rig.say(&format!("{node} drained and left"));
        rig.run_for(12).await;
    }
    let report = rig.finish().await?;
    hold(&report);
    assert!(report.stall <= IDLE_MAX, "{report}");
    Ok(())
}

/// Property: with PostgreSQL away for 60 s executions go on, and afterwards Activity has caught up and nothing is doubled.
#[ignore = "long; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn postgres_away() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rig = Rig::start("postgres_away", &Plan::cluster()).await?;
    rig.run_for(6).await;
    rig.cluster.script("postgres.sh", &["kill"])?;
    rig.say("PostgreSQL is away");
    rig.run_for(30).await;
    // Executions still begin and end in the second half of the outage.
    rig.flows(64).await?;
    rig.run_for(30).await;
    rig.cluster.script("postgres.sh", &["start"])?;
    rig.say("PostgreSQL is back");
    rig.run_for(6).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: a process whose network to Kafka is cut, while all else reaches it, does no harm, and works again afterwards.
#[ignore = "long, needs root; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn network_cut() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let plan = Plan { cut_off: Some("pipeline-1"), ..Plan::cluster() };
    let mut rig = Rig::start("network_cut", &plan).await?;
    rig.run_for(8).await;
    let (pid, from) = (rig.cluster.pid("pipeline-1")?, Instant::now());
    let namespace = rig.cluster.namespace.as_ref().expect("the plan has one");
    rig.say("cut pipeline-1 off from Kafka");
    namespace.cut()?;
    rig.run_for(30).await;
    namespace.heal()?;
    rig.say("pipeline-1 reaches Kafka again");
    rig.was_zombie(pid, from);
    rig.run_for(20).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// Property: a broker whose disk is full loses nothing of what was answered 202.
#[ignore = "long, needs root; make faults"]
#[tokio::test(flavor = "multi_thread")]
async fn disk_full() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let disk = SmallDisk::mount()?;
    let plan = Plan { small_disk: Some(disk.0.join("log")), ..Plan::cluster() };
    let rig = Rig::start("disk_full", &plan).await?;
    rig.run_for(8).await;
    disk.fill()?;
    rig.say("the disk of broker 3 is full");
    rig.run_for(20).await;
    disk.free()?;
    // A broker whose only disk failed ends itself; if it is still there, it needs a start to look at the disk again.
    rig.cluster.script("kafka.sh", &["kill", "3"])?;
    rig.cluster.script("kafka.sh", &["start", "3"])?;
    rig.say("there is room again, and broker 3 is back");
    rig.run_for(10).await;
    hold(&rig.finish().await?);
    Ok(())
}

/// A small file system in memory. Needs root.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount() -> anyhow::Result<Self> {
        let folder = Path::new("/var/tmp").join(format!("fastn-disk-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let options = ["-t", "tmpfs", "-o", "size=192m", "tmpfs"];
        let status = Command::new("mount").args(options).arg(&folder).status()?;
        ensure!(status.success(), "mount a small disk; this needs root");
        Ok(Self(folder))
    }

    /// Writes until there is no room.
    fn fill(&self) -> anyhow::Result<()> {
        let mut file = std::fs::File::create(self.0.join("ballast"))?;
        let block = vec![7_u8; 64 << 10];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
        Ok(())
    }

    fn free(&self) -> anyhow::Result<()> {
        Ok(std::fs::remove_file(self.0.join("ballast"))?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _gone_already = Command::new("umount").arg("-l").arg(&self.0).status();
        let _not_empty = std::fs::remove_dir(&self.0);
    }
}
