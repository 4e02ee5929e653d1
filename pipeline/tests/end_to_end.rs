//! The processor with real sandboxes, real HTTP and a log in memory.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "what fails here fails a test")]

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastn_contract::activity::{ExecutionStatus, Origin};
use fastn_contract::error::ErrorCode;
use fastn_contract::resource::WorkflowVersion;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use fastn_domain::event::EventRecord;
use fastn_domain::ids::{EventId, WorkflowId};
use fastn_domain::journal::{AdmittedEvent, Finished, JournalRecord};
use fastn_domain::partition::partition_of;
use fastn_domain::scope::Scope;
use fastn_domain::time::{Clock, Timestamp};
use fastn_log::{Log, Topic, codec, event_record_at};
use fastn_pipeline::processor::machine::Answer;
use fastn_pipeline::processor::{Answers, Pipeline, PipelineConfig};
use fastn_store::{MasterKey, Vault};
use fastn_testkit::MemoryLog;
use tokio::sync::watch;

const DEADLINE: Duration = Duration::from_secs(30);

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(since.as_micros() as i64)
    }
}

struct World {
    log: Arc<MemoryLog>,
    pipeline: Pipeline,
    answers: Arc<Answers>,
    scope: Scope,
    catalog: watch::Sender<Arc<Catalog>>,
    /// The revision of the configuration under which events are accepted.
    accepts: AtomicU64,
}

fn row(kind: ResourceKind, id: &str, revision: u64, body: String) -> ResourceRow {
    let (account, at) = ("acc".parse().unwrap(), Timestamp(0));
    let id = id.to_owned();
    ResourceRow {
        kind,
        account,
        customer: None,
        id,
        revision,
        version: 1,
        created: at,
        updated: at,
        deleted: false,
        body,
    }
}

fn workflow_rows(id: &str, settings: &str, source: &str) -> Vec<ResourceRow> {
    let version = WorkflowVersion {
        workflow: id.to_owned(),
        version: 1,
        source: source.to_owned(),
        file: format!("workflows/{id}.ts"),
        source_hash: String::new(),
    };
    vec![
        row(ResourceKind::Workflow, id, 2, format!(r#"{{"id":"{id}"{settings}}}"#)),
        row(ResourceKind::WorkflowVersion, &format!("{id}@1"), 3, serde_json::to_string(&version).unwrap()),
    ]
}

async fn start(log: Arc<MemoryLog>, workflows: &[(&str, &str, &str)]) -> World {
    let mut rows = vec![row(ResourceKind::Customer, "cus", 1, r#"{"id":"cus"}"#.to_owned())];
    for (id, settings, source) in workflows {
        rows.extend(workflow_rows(id, settings, source));
    }
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    let (catalog, watched) = watch::channel(Arc::new(catalog));
    let key = MasterKey::from_base64("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "test").unwrap();
    let vault = Arc::new(Vault::new(&key));
    let config = PipelineConfig { allow_private_addresses: true, traces: true, ..PipelineConfig::default() };
    let answers = Answers::new("local", None);
    let pipeline =
        Pipeline::start(log.clone(), watched, vault, Arc::new(System), answers.clone(), config).await.unwrap();
    World { log, pipeline, answers, scope: Scope::parse("acc", "cus").unwrap(), catalog, accepts: AtomicU64::new(3) }
}

impl World {
    async fn run(&self, workflow: &str, id: &str, input: &str) -> Answer {
        let ticket = self.answers.open();
        self.send(workflow, id, input, Some(ticket.reply_to.clone())).await;
        let mut ticket = ticket;
        tokio::time::timeout(DEADLINE, &mut ticket.answer).await.expect("an answer in time").unwrap()
    }

    async fn send(&self, workflow: &str, id: &str, input: &str, reply_to: Option<fastn_domain::event::ReplyTo>) {
        let event = EventRecord {
            id: EventId::new(id).unwrap(),
            source: "test".to_owned(),
            kind: "fastn.run".to_owned(),
            subject: None,
            time: System.now(),
            scope: self.scope.clone(),
            origin: Origin::Manual,
            trigger: None,
            workflow: Some(WorkflowId::new(workflow).unwrap()),
            environment: None,
            headers: Vec::new(),
            data: Arc::from(input),
            reply_to,
            traceparent: None,
            priority: None,
        };
        self.append(event).await;
    }

    async fn append(&self, event: EventRecord) {
        let revision = self.accepts.load(Ordering::Relaxed);
        let partition = partition_of(&self.scope, self.log.partitions());
        self.log.append(Topic::Events, partition, vec![event_record_at(&event, revision)]).await.unwrap();
    }

    fn finished(&self) -> Vec<Finished> {
        let partition = partition_of(&self.scope, self.log.partitions());
        let records = self.log.records(Topic::Executions, partition);
        let finished = records.iter().filter_map(|record| match codec::decode_journal(&record.value).unwrap() {
            JournalRecord::Finished(finished) => Some(finished),
            _ => None,
        });
        finished.collect()
    }

    async fn wait_finished(&self, count: usize) -> Vec<Finished> {
        let began = Instant::now();
        loop {
            let finished = self.finished();
            if finished.len() >= count {
                return finished;
            }
            assert!(began.elapsed() < DEADLINE, "only {} of {count} ended", finished.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

type Calls = Arc<Mutex<Vec<(String, String)>>>;

async fn sink() -> (String, Calls) {
    let calls: Calls = Arc::default();
    let seen = Arc::clone(&calls);
    let app = axum::Router::new().fallback(move |headers: axum::http::HeaderMap, body: String| {
        let key = headers.get("idempotency-key").map(|key| key.to_str().unwrap().to_owned()).unwrap_or_default();
        seen.lock().unwrap().push((key, body));
        async { axum::Json(serde_json::json!({"ok": true})) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (url, calls)
}

const CALLING: &str = r#"
export default async function (ctx: any) {
  const doubled: number = ctx.input.n * 2;
  const answer = await fetch(ctx.input.url, { method: "POST", body: JSON.stringify({ doubled }) });
  const body = await answer.json();
  return { doubled, ok: body.ok };
}
"#;

/// Property: a run of a workflow with one call answers its caller, makes the call once, and writes one record of its own.
#[tokio::test(flavor = "multi_thread")]
async fn one_call_one_record() {
    let (url, calls) = sink().await;
    let world = start(Arc::new(MemoryLog::new(2)), &[("w", "", CALLING)]).await;
    let answer = world.run("w", "e1", &format!(r#"{{"n":21,"url":"{url}"}}"#)).await;
    let Answer::Finished { execution, status, output, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(status, ExecutionStatus::Completed);
    assert_eq!(output.as_deref(), Some(r#"{"doubled":42,"ok":true}"#));
    let calls = calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0], (format!("{execution}/fetch"), r#"{"doubled":42}"#.to_owned()));
    let finished = world.finished();
    assert_eq!(finished.len(), 1);
    assert_eq!((finished[0].results.len(), finished[0].steps.len()), (1, 1));
    assert_eq!(world.run("w", "e1", "{}").await, Answer::Seen, "the same event again is admitted no second time");
    world.pipeline.stop().await;
}

/// Property: every call to the outside leaves one trace in the customer's partition that says what became of it, answered
/// or not, and holds neither the path nor the query of its URL, which may be secrets.
#[tokio::test(flavor = "multi_thread")]
async fn calls_leave_traces() {
    let source = r#"
export default async function (ctx: any) {
  await fetch(ctx.input.url + "/secret?token=secret", { method: "PUT", body: "1234" });
  try { await fetch(ctx.input.gone + "/secret"); } catch (error) {}
}
"#;
    let (url, _) = sink().await;
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let world = start(Arc::new(MemoryLog::new(2)), &[("w", "", source)]).await;
    let answer = world.run("w", "e1", &format!(r#"{{"url":"{url}","gone":"http://{gone}"}}"#)).await;
    let Answer::Finished { execution, .. } = answer else { panic!("{answer:?}") };
    let (began, partition) = (Instant::now(), partition_of(&world.scope, 2));
    let records = loop {
        let records = world.log.records(Topic::Traces, partition);
        if records.len() >= 2 {
            break records;
        }
        assert!(began.elapsed() < DEADLINE, "{} of 2 traces", records.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let traces: Vec<_> = records.iter().map(|record| codec::decode_trace(&record.value).unwrap()).collect();
    assert_eq!(traces.len(), 2);
    let first = &traces[0];
    assert_eq!((first.execution, first.workflow.as_str(), first.attempt), (execution, "w", 1));
    assert_eq!((&first.scope, first.step.as_str(), first.via.as_str()), (&world.scope, "fetch", "http"));
    assert_eq!((first.method.as_str(), &first.origin, first.status), ("PUT", &url, Some(200)));
    assert_eq!((first.request_bytes, first.response_bytes, &first.error), (4, 11, &None));
    assert_eq!(traces[1].origin, format!("http://{gone}"));
    assert_eq!((traces[1].status, traces[1].error.as_deref()), (None, Some("ECONNREFUSED")));
    assert!(!format!("{traces:?}").contains("secret"));
    world.pipeline.stop().await;
}

/// Property: state, sleep, a step's retry, an invoked child and an awaited event work together in one execution.
#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_call() {
    let parent = r#"
export default async function (ctx: any) {
  const count = ((await fastn.state.get("count")) ?? 0) + 1;
  await fastn.state.set("count", count);
  await ctx.sleep(20);
  let tries = 0;
  const step = await ctx.step("flaky", () => { tries += 1; if (tries < 2) throw new Error("once"); return "done"; },
    { retry: { maxAttempts: 3, initialInterval: 10 } });
  const child = await fastn.flow.invoke("child", { x: 5 });
  const event = await ctx.waitForEvent({ type: "paid" }, { timeout: "30s" });
  return { count, step, child, event: event && event.data };
}
"#;
    let child = "export default async function (ctx: any) { return ctx.input.x + 1; }";
    let world = start(Arc::new(MemoryLog::new(1)), &[("parent", "", parent), ("child", "", child)]).await;
    let ticket = world.answers.open();
    world.send("parent", "e1", "{}", Some(ticket.reply_to.clone())).await;
    world.wait_finished(1).await;
    let mut n = 0;
    let mut ticket = ticket;
    let answer = loop {
        n += 1;
        let event = EventRecord {
            id: EventId::new(&format!("paid-{n}")).unwrap(),
            source: "shop".to_owned(),
            kind: "paid".to_owned(),
            subject: None,
            time: System.now(),
            scope: world.scope.clone(),
            origin: Origin::Api,
            trigger: None,
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: Arc::from(r#"{"amount":7}"#),
            reply_to: None,
            traceparent: None,
            priority: None,
        };
        world.append(event).await;
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(100), &mut ticket.answer).await {
            break answer.unwrap();
        }
        assert!(n < 300, "no answer");
    };
    let Answer::Finished { status, output, error, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(status, ExecutionStatus::Completed, "{error:?}");
    let output = output.unwrap();
    assert_eq!(output, r#"{"count":1,"step":"done","child":6,"event":{"amount":7}}"#);
    world.pipeline.stop().await;
}

/// Property: a sleeper survives the process: another one, with nothing but the log, wakes it and ends it.
#[tokio::test(flavor = "multi_thread")]
async fn sleepers_survive() {
    let source = r#"
export default async function (ctx: any) {
  await fetch(ctx.input.url, { method: "POST", body: "before" });
  await ctx.sleep(300);
  await fetch(ctx.input.url, { method: "POST", body: "after" });
  return "woke";
}
"#;
    let (url, calls) = sink().await;
    let log = Arc::new(MemoryLog::new(1));
    let world = start(log.clone(), &[("w", "", source)]).await;
    world.send("w", "e1", &format!(r#"{{"url":"{url}"}}"#), None).await;
    let began = Instant::now();
    while calls.lock().unwrap().is_empty() {
        assert!(began.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    world.pipeline.stop().await;
    let world = start(log, &[("w", "", source)]).await;
    let finished = world.wait_finished(1).await;
    assert_eq!(finished[0].output.as_deref(), Some(r#""woke""#), "{:?}", finished[0].error);
    let bodies: Vec<String> = calls.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(bodies.last().map(String::as_str), Some("after"));
    assert!(world.catalog.receiver_count() > 0);
    world.pipeline.stop().await;
}

/// Property: an event that no route takes does not use up its deduplication key: a later one with the key that a route
/// takes still runs, and only the one after that is a duplicate.
#[tokio::test]
async fn an_unmatched_event_keeps_no_deduplication_key() {
    let world = start(Arc::new(MemoryLog::new(1)), &[("echo", "", "export default async (ctx) => ctx.input.n")]).await;
    let trigger = r#"{"id":"t","source":{"type":"event","types":["thing.*"]},"deduplicationKey":"key",
        "routes":[{"workflow":"echo","filter":{"path":"$type","op":"eq","value":"thing.opened"}}]}"#;
    let (catalog, errors) = world.catalog.borrow().with(&[row(ResourceKind::Trigger, "t", 4, trigger.to_owned())]);
    assert!(errors.is_empty(), "{errors:?}");
    world.catalog.send_replace(Arc::new(catalog));
    let began = Instant::now();
    while !world.pipeline.ready() {
        assert!(began.elapsed() < DEADLINE, "the partition does not become ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for (n, kind) in [(1, "thing.commented"), (2, "thing.opened"), (3, "thing.opened")] {
        let event = EventRecord {
            id: EventId::new(&format!("e{n}")).unwrap(),
            source: "test".to_owned(),
            kind: kind.to_owned(),
            subject: None,
            time: System.now(),
            scope: world.scope.clone(),
            origin: Origin::Api,
            trigger: None,
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: Arc::from(format!(r#"{{"key":"same","n":{n}}}"#)),
            reply_to: None,
            traceparent: None,
            priority: None,
        };
        world.append(event).await;
    }
    // A run behind them in the same partition: when it has ended, they are all admitted.
    world.run("echo", "last", r#"{"n":9}"#).await;
    let mut outputs: Vec<_> = world.wait_finished(2).await.into_iter().filter_map(|end| end.output).collect();
    outputs.sort();
    assert_eq!(outputs, ["2", "9"]);
}

/// Property: a call that a workflow makes and does not await goes out all the same, before the execution ends.
#[tokio::test(flavor = "multi_thread")]
async fn calls_nobody_awaits_go_out() {
    let source = r#"
export default async function (ctx: any) {
  fetch(ctx.input.url, { method: "POST", body: "forgotten" });
  ctx.emit({ type: "left.behind" });
  return "done";
}
"#;
    let (url, calls) = sink().await;
    let world = start(Arc::new(MemoryLog::new(1)), &[("w", "", source)]).await;
    let answer = world.run("w", "e1", &format!(r#"{{"url":"{url}"}}"#)).await;
    let Answer::Finished { status, output, .. } = answer else { panic!("{answer:?}") };
    assert_eq!((status, output.as_deref()), (ExecutionStatus::Completed, Some(r#""done""#)));
    assert_eq!(calls.lock().unwrap().len(), 1);
    let events = world.log.records(Topic::Events, 0);
    let kinds: Vec<String> = events.iter().map(|record| codec::decode_event(&record.value).unwrap().kind).collect();
    assert_eq!(kinds, ["fastn.run", "left.behind"]);
    world.pipeline.stop().await;
}

/// Property: an event that another node accepted under a newer configuration is not judged before that configuration is
/// here: a workflow that this node does not know yet runs.
#[tokio::test]
async fn events_wait_for_their_configuration() {
    let world = start(Arc::new(MemoryLog::new(2)), &[]).await;
    let mut rows = workflow_rows("fresh", "", "export default async function () { return 1; }");
    for (row, revision) in rows.iter_mut().zip(10..) {
        row.revision = revision;
    }
    let (newer, errors) = world.catalog.borrow().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    world.accepts.store(newer.revision, Ordering::Relaxed);
    let mut ticket = world.answers.open();
    world.send("fresh", "e1", "{}", Some(ticket.reply_to.clone())).await;
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ticket.answer).await;
    assert!(early.is_err(), "{early:?}");
    world.catalog.send_replace(Arc::new(newer));
    let answer = tokio::time::timeout(DEADLINE, &mut ticket.answer).await.expect("an answer in time").unwrap();
    assert!(matches!(answer, Answer::Finished { status: ExecutionStatus::Completed, .. }), "{answer:?}");
}

/// Property: the caller of an Instant run that starts nothing is told why: what stands in its way ends by itself, or the
/// workflow is not published, or the customer is suspended.
#[tokio::test(flavor = "multi_thread")]
async fn callers_are_told_why_nothing_starts() {
    let once = r#","tier":"long","flow":{"singleton":{"mode":"skip"}}"#;
    let waits = r#"export default (ctx) => ctx.waitForEvent({ type: "go" }, { timeout: "30m" })"#;
    let world = start(Arc::new(MemoryLog::new(1)), &[("once", once, waits)]).await;
    world.send("once", "e1", "{}", None).await;
    let refused = async |workflow: &str, id: &str| match world.run(workflow, id, "{}").await {
        Answer::Rejected { code, reason } => (code, reason),
        other => panic!("{other:?}"),
    };
    let (code, reason) = refused("once", "e2").await;
    assert_eq!(code, ErrorCode::Conflict);
    assert!(reason.contains("has not ended"), "{reason}");
    assert_eq!(refused("never", "e3").await.0, ErrorCode::WorkflowNotPublished);
    let suspended = r#"{"id":"cus","status":"suspended"}"#.to_owned();
    let (newer, errors) = world.catalog.borrow().with(&[row(ResourceKind::Customer, "cus", 9, suspended)]);
    assert!(errors.is_empty(), "{errors:?}");
    world.accepts.store(newer.revision, Ordering::Relaxed);
    world.catalog.send_replace(Arc::new(newer));
    assert_eq!(refused("once", "e4").await.0, ErrorCode::Forbidden);
    world.pipeline.stop().await;

    // A node of the release before tells no code.
    let before: Answer = serde_json::from_str(r#"{"rejected":{"reason":"r"}}"#).unwrap();
    assert_eq!(before, Answer::Rejected { code: ErrorCode::WorkflowNotPublished, reason: "r".to_owned() });
}

/// Property: fires that overlap skips take no place in the rate of their trigger, while they are in memory and after a
/// restart: of a rate of two, the second run starts at once however many fires were skipped, and the third waits.
#[tokio::test(flavor = "multi_thread")]
async fn skipped_fires_are_not_in_the_rate() {
    for restarts in [false, true] {
        let waits = r#"export default (ctx) => ctx.waitForEvent({ type: "go" }, { timeout: "30m" })"#;
        let workflows = [("w", r#","tier":"long""#, waits)];
        let log = Arc::new(MemoryLog::new(1));
        let mut world = start(log.clone(), &workflows).await;
        let trigger = r#"{"id":"t","source":{"type":"schedule","timezone":"UTC","when":{"mode":"daily","at":"09:00"},
            "overlap":"skip"},"flow":{"rate":{"limit":2,"periodMs":86400000}},"routes":[{"workflow":"w"}]}"#;
        let add = |world: &World| {
            let (catalog, errors) =
                world.catalog.borrow().with(&[row(ResourceKind::Trigger, "t", 4, trigger.to_owned())]);
            assert!(errors.is_empty(), "{errors:?}");
            world.accepts.store(catalog.revision, Ordering::Relaxed);
            world.catalog.send_replace(Arc::new(catalog));
        };
        add(&world);
        let event = |id: &str, kind: &str, trigger: Option<&str>| EventRecord {
            id: EventId::new(id).unwrap(),
            source: "test".to_owned(),
            kind: kind.to_owned(),
            subject: None,
            time: System.now(),
            scope: Scope::parse("acc", "cus").unwrap(),
            origin: Origin::Api,
            trigger: trigger.map(|id| id.parse().unwrap()),
            workflow: None,
            environment: None,
            headers: Vec::new(),
            data: Arc::from("{}"),
            reply_to: None,
            traceparent: None,
            priority: None,
        };
        for id in ["f1", "f2", "f3"] {
            world.append(event(id, "fastn.schedule", Some("t"))).await;
        }
        let mut sent = 0;
        for ended in [1, 2] {
            let began = Instant::now();
            // Until one finds it waiting.
            while world.finished().len() < ended {
                assert!(began.elapsed() < DEADLINE, "run {ended} has not ended: it waits for its rate");
                sent += 1;
                world.append(event(&format!("go{sent}"), "go", None)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            if restarts && ended == 1 {
                world.pipeline.stop().await;
                world = start(log.clone(), &workflows).await;
                add(&world);
            }
            world.append(event(&format!("f{}", 3 + ended), "fastn.schedule", Some("t"))).await;
        }
        let fires = admitted(&world, 5).await;
        let told: Vec<_> = fires
            .iter()
            .map(|fire| {
                let held = fire
                    .executions
                    .first()
                    .map(|start| start.flow.as_ref().is_some_and(|flow| flow.not_before.is_some()));
                (held, fire.counted.len())
            })
            .collect();
        assert_eq!(told[..4], [(Some(false), 1), (None, 0), (None, 0), (Some(false), 1)]);
        let day = |fire: usize| fires[fire].counted[0].from;
        assert!(day(0) < day(3) || day(3) < day(4), "the day was full, unless another began meanwhile");
        world.pipeline.stop().await;
    }
}

/// What was admitted of the trigger `t`, once it is `count`.
async fn admitted(world: &World, count: usize) -> Vec<AdmittedEvent> {
    let began = Instant::now();
    loop {
        let events = world.log.records(Topic::Events, 0);
        let mut found = Vec::new();
        for record in world.log.records(Topic::Executions, 0) {
            let JournalRecord::Admitted(record) = codec::decode_journal(&record.value).unwrap() else { continue };
            found.extend(record.events.into_iter().filter(|admitted| {
                let event = events.iter().find(|event| event.offset == admitted.offset).unwrap();
                codec::decode_event(&event.value).unwrap().trigger.is_some()
            }));
        }
        if found.len() >= count {
            return found;
        }
        assert!(began.elapsed() < DEADLINE, "only {} of {count} are admitted", found.len());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
