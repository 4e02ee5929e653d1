//! Schedules over hours on the real server, whose clock the test moves: what was missed while nobody was there, and what
//! failures in a row do. All through the public API.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use fastn_contract::activity::ExecutionStatus;
use fastn_contract::resource::Switch;
use fastn_contract::schedule::{ChangeStatus, ScheduleView};
use fastn_domain::Timestamp;
use fastn_domain::time::parse_rfc3339;
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::PublishVersion;
use fastn_tests::clock::MovedClock;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use serde_json::{Value, json};

use super::{eventually, put_schedule_of};

const MINUTE: i64 = 60 * 1_000_000;
const HOUR: i64 = 60 * MINUTE;

/// Ten minutes past the next full hour, and that hour: no test goes on for so long that another hour begins by itself.
fn beginning() -> (Timestamp, Timestamp) {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_micros()).unwrap_or_default();
    let hour = now - now.rem_euclid(HOUR) + HOUR;
    (Timestamp(hour), Timestamp(hour + 10 * MINUTE))
}

/// The scheduled times that a schedule's events are for, in hours after `hour`.
async fn fired(client: &Fastn, id: &str, hour: Timestamp) -> anyhow::Result<Vec<i64>> {
    let events = client.events().filter("trigger", Some(id)).take(100).await?;
    let mut hours = Vec::new();
    for event in events {
        let at = parse_rfc3339(&event.time).context("the time of an event")?;
        ensure!((at.0 - hour.0) % HOUR == 0, "{id} fired for {}", event.time);
        hours.push((at.0 - hour.0) / HOUR);
    }
    hours.sort_unstable();
    Ok(hours)
}

/// Waits until each schedule has fired for exactly these hours.
async fn all_fired(client: &Fastn, hour: Timestamp, expected: &BTreeMap<&str, Vec<i64>>) -> anyhow::Result<()> {
    for (id, hours) in expected {
        eventually(&format!("{id} fires for {hours:?}"), || async {
            let found = fired(client, id, hour).await?;
            let only = found.iter().all(|hour| hours.contains(hour));
            ensure!(only && found.len() <= hours.len(), "{id} fired for {found:?} instead of {hours:?}");
            Ok((found == *hours).then_some(()))
        })
        .await?;
    }
    Ok(())
}

async fn catches_up(plan: Plan) -> anyhow::Result<()> {
    let (hour, begin) = beginning();
    let clock = MovedClock::at(begin)?;
    let mut server = Cluster::start(&Plan { clock: Some(clock.clone()), ..plan }).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let source = "export default (ctx: any) => [ctx.event.time, ctx.input]";
    put_workflow(&client, "note", json!({"tier": "long"}), source).await?;
    let all = json!({"policy": "all", "windowMinutes": 1380});
    let half_past = |hours: i64| Timestamp(hour.0 + hours * HOUR + 30 * MINUTE).to_string();
    let schedules = [
        ("default", json!({})),
        ("none", json!({"catchUp": {"policy": "none"}})),
        ("last", json!({"catchUp": {"policy": "last"}, "payload": {"n": 7}})),
        ("window", json!({"catchUp": {"policy": "all", "windowMinutes": 160}})),
        ("all", json!({"catchUp": all})),
        ("paused", json!({"catchUp": all})),
        ("started", json!({"catchUp": all, "startsAt": half_past(2)})),
        ("ended", json!({"catchUp": all, "endsAt": half_past(2)})),
        ("delayed", json!({"catchUp": all, "delayMinutes": 40})),
        ("jittered", json!({"catchUp": all, "jitterSeconds": 590})),
    ];
    for (id, settings) in &schedules {
        let mut settings = settings.clone();
        settings["when"] = json!({"mode": "cron", "expression": "0 * * * *"});
        put_schedule_of(&client, "note", id, settings).await?;
    }
    client.pause_schedule("paused", &ChangeStatus::default()).await?;

    // Nobody is there at the next four full hours; it is half past when the process is back.
    server.stop("all").await?;
    clock.set(Timestamp(hour.0 + 4 * HOUR + 30 * MINUTE))?;
    server.start_node("all").await?;
    let client = server.client("api")?;
    let mut expected = BTreeMap::from([
        ("last", vec![4]),
        ("window", vec![2, 3, 4]),
        ("all", vec![1, 2, 3, 4]),
        ("started", vec![3, 4]),
        ("ended", vec![1, 2]),
        ("delayed", vec![0, 1, 2, 3]),
        ("jittered", vec![1, 2, 3, 4]),
    ]);
    all_fired(&client, hour, &expected).await?;

    // The process sleeps through an hour, as a machine that is suspended: an outage like any other.
    clock.set(Timestamp(hour.0 + 5 * HOUR + 32 * MINUTE))?;
    for (id, hours) in &mut expected {
        match *id {
            "ended" => {}
            "delayed" => hours.push(4),
            _ => hours.push(5),
        }
    }
    all_fired(&client, hour, &expected).await?;

    // And now it is there, and makes each at its time. What was left out stays so.
    clock.set(Timestamp(hour.0 + 6 * HOUR - 2_000_000))?;
    expected.get_mut("delayed").context("is there")?.push(5);
    for id in ["last", "window", "all", "started"] {
        expected.entry(id).or_default().push(6);
    }
    // Some time after the hour, which need not have come.
    expected.remove("jittered");
    expected.extend([("default", vec![6]), ("none", vec![6]), ("paused", vec![])]);
    all_fired(&client, hour, &expected).await?;

    let done = eventually("the runs of the last", || async {
        let mut runs = client.executions().filter("trigger", Some("last")).take(10).await?;
        runs.retain(|run| run.status == ExecutionStatus::Completed);
        Ok((runs.len() == 3).then_some(runs))
    })
    .await?;
    let mut outputs = Vec::new();
    for run in done {
        outputs.extend(client.execution(&run.id).await?.output);
    }
    let mut told: Vec<String> = outputs.iter().map(Value::to_string).collect();
    told.sort();
    let expected: Vec<String> =
        [4, 5, 6].map(|n| json!([Timestamp(hour.0 + n * HOUR).to_string(), {"n": 7}]).to_string()).to_vec();
    assert_eq!(told, expected, "the time of the event is the scheduled one, and the payload is the input");
    server.forget();
    Ok(())
}

/// Property: after an outage of hours each schedule makes up for what its policy says, within its window, from its start to
/// its end, with its delay and jitter, and a paused one for nothing; so it does when the clock jumps while it runs; and what
/// comes then fires at its time.
#[tokio::test(flavor = "multi_thread")]
async fn outages_are_made_up_for() -> anyhow::Result<()> {
    catches_up(Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn outages_are_made_up_for_on_kafka_and_postgres() -> anyhow::Result<()> {
    catches_up(Plan::alone()).await
}

struct Failing {
    client: Fastn,
    clock: MovedClock,
    hour: Timestamp,
}

impl Failing {
    async fn view(&self, what: &str, is: impl Fn(&ScheduleView) -> bool) -> anyhow::Result<ScheduleView> {
        eventually(what, || async { Ok(Some(self.client.schedule("s").await?).filter(|view| is(view))) }).await
    }

    /// The clock stands a second before the full hour `n`, and what fires then has run.
    async fn fires(&self, n: i64) -> anyhow::Result<()> {
        self.clock.set(Timestamp(self.hour.0 + n * HOUR - 1_000_000))?;
        let at = Timestamp(self.hour.0 + n * HOUR);
        eventually(&format!("a run of hour {n}"), || async {
            let runs = self.client.executions().filter("trigger", Some("s")).take(20).await?;
            let of = |id: &str| id == format!("schedule/s/{at}");
            Ok(runs.iter().any(|run| of(&run.event_id) && run.status.is_final()).then_some(()))
        })
        .await
    }
}

async fn switches_off(plan: Plan) -> anyhow::Result<()> {
    let (hour, begin) = beginning();
    let clock = MovedClock::at(begin)?;
    let mut server = Cluster::start(&Plan { clock: Some(clock.clone()), ..plan }).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    let once = json!({"tier": "long", "retry": {"maxAttempts": 1}});
    put_workflow(&client, "work", once, "export default () => { throw new Error('no') }").await?;
    let hourly = json!({"when": {"mode": "interval", "every": 1, "unit": "hours"},
        "autoDisable": {"failures": 2, "cooldownMinutes": 30}});
    put_schedule_of(&client, "work", "s", hourly).await?;
    let failing = Failing { client: client.clone(), clock: clock.clone(), hour };

    // A run by hand that fails is not counted.
    client.run_schedule("s").await?;
    failing.fires(1).await?;
    failing.view("one failure", |view| view.failures == 1 && view.status == Switch::Enabled).await?;
    failing.fires(2).await?;
    let view = failing.view("two failures switch it off", |view| view.status == Switch::Disabled).await?;
    assert!(view.next_run.is_none() && view.failures == 2, "{view:?}");
    assert!(view.history[0].automatic && view.history[0].reason == "2 fires in a row failed", "{view:?}");

    // It stays off over a kill, and for as long as the cooldown takes.
    server.kill("all")?;
    clock.set(Timestamp(hour.0 + 2 * HOUR + 20 * MINUTE))?;
    server.start_node("all").await?;
    assert_eq!(client.schedule("s").await?.status, Switch::Disabled);
    clock.set(Timestamp(hour.0 + 2 * HOUR + 31 * MINUTE))?;
    let view = failing.view("the cooldown ends", |view| view.status == Switch::Enabled).await?;
    assert!(view.history[0].automatic && view.next_run.is_some() && view.failures == 2, "{view:?}");
    failing.fires(3).await?;
    failing.view("one more failure is enough", |view| view.status == Switch::Disabled).await?;
    clock.set(Timestamp(hour.0 + 3 * HOUR + 31 * MINUTE))?;
    failing.view("the cooldown ends again", |view| view.status == Switch::Enabled).await?;
    client.publish("work", &PublishVersion { source: "export default () => 1".to_owned(), file: None }).await?;
    failing.fires(4).await?;
    let view = failing.view("a completed run clears it", |view| view.failures == 0).await?;
    let told: Vec<(Switch, bool)> = view.history.iter().map(|change| (change.status, change.automatic)).collect();
    let (on, off) = ((Switch::Enabled, true), (Switch::Disabled, true));
    assert_eq!(told, [on, off, on, off]);

    // The history keeps twenty.
    for n in 0..10 {
        client.pause_schedule("s", &ChangeStatus { reason: format!("pause {n}") }).await?;
        client.resume_schedule("s", &ChangeStatus { reason: format!("resume {n}") }).await?;
    }
    let view = client.schedule("s").await?;
    assert_eq!((view.history.len(), view.status), (20, Switch::Enabled));
    assert!(view.history.iter().all(|change| !change.automatic));
    assert_eq!((view.history[0].reason.as_str(), view.history[19].reason.as_str()), ("resume 9", "pause 0"));
    server.forget();
    Ok(())
}

/// Property: failures in a row switch a schedule off, runs by hand aside; after its cooldown, and over a kill, it is on
/// again, off by the next failure, and cleared by a run that completes; its history keeps the last twenty changes.
#[tokio::test(flavor = "multi_thread")]
async fn failures_switch_it_off() -> anyhow::Result<()> {
    switches_off(Plan::embedded()).await
}

/// Property: the same holds on Kafka and PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn failures_switch_it_off_on_kafka_and_postgres() -> anyhow::Result<()> {
    switches_off(Plan::alone()).await
}
