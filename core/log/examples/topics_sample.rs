//! Writes a small, known history to the topics of a Kafka, for the tests of consumers in other languages:
//! `cargo run -p fastn-log --example topics_sample -- BROKERS PREFIX [REGISTRY]`
//!
//! One execution is admitted, makes a call and completes. A writer that was replaced before says that it failed, which no
//! consumer may believe. With a registry, the first half carries local schema ids and the rest the registry's.

use std::sync::Arc;

use bytes::Bytes;
use fastn_contract::activity::{EventStatus, ExecutionError, ExecutionStatus, Origin};
use fastn_contract::resource::Tier;
use fastn_domain::event::{EventRecord, Header};
use fastn_domain::journal::{Admitted, AdmittedEvent, Claim, Finished, JournalRecord, NewExecution};
use fastn_domain::partition::partition_of;
use fastn_domain::trace::Trace;
use fastn_domain::{EnvironmentId, EventId, ExecutionId, Scope, Timestamp, TriggerId, WorkflowId};
use fastn_log::registry::{RegistryOptions, register};
use fastn_log::{KafkaLog, KafkaOptions, Log, Record, Topic, codec, event_record};

const PARTITIONS: u32 = 2;
const EXECUTION: ExecutionId = ExecutionId(42);

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, prefix, registry @ ..] = args.as_slice() else { return Err("BROKERS PREFIX [REGISTRY]".into()) };
    let (brokers, prefix) = (brokers.clone(), prefix.clone());
    let options =
        KafkaOptions { brokers, prefix, partitions: PARTITIONS, replication: 1, min_insync: 1, ..Default::default() };
    let log: Arc<dyn Log> = Arc::new(tokio::task::spawn_blocking(move || KafkaLog::open(options)).await??);
    let scope = Scope::parse("acc_demo", "cus_acme")?;
    let partition = partition_of(&scope, PARTITIONS);
    let journal = async |record: JournalRecord, key: String| {
        let record = Record::new(key, codec::encode_journal(&record));
        log.append(Topic::Executions, partition, vec![record]).await
    };
    let claim = |epoch| JournalRecord::Claim(Claim { epoch, node: format!("node-{epoch}"), at: Timestamp(1) });

    log.append(Topic::Events, partition, vec![event_record(&event(&scope)?)]).await?;
    journal(claim(1), String::new()).await?;
    journal(admitted(&scope)?, String::new()).await?;
    let kept = tempfile::tempdir()?;
    if let Some(url) = registry.first() {
        let cache = kept.path().join("schema-ids.json");
        register(&RegistryOptions { url: url.clone(), user: None, password: None, cache }).await?;
    }
    journal(claim(2), String::new()).await?;
    journal(finished(&scope, 1, ExecutionStatus::Failed), scope.key()).await?;
    journal(finished(&scope, 2, ExecutionStatus::Completed), scope.key()).await?;
    let trace = Record::new(Bytes::from(scope.key()), codec::encode_trace(&trace(&scope)?));
    log.append(Topic::Traces, partition, vec![trace]).await?;
    log.close().await?;
    Ok(())
}

fn event(scope: &Scope) -> Result<EventRecord, Box<dyn std::error::Error>> {
    Ok(EventRecord {
        id: EventId::new("72d3162e-cc78-11e3-81ab-4c9367dc0958")?,
        source: "github".to_owned(),
        kind: "github.push".to_owned(),
        subject: Some("refs/heads/main".to_owned()),
        time: Timestamp::from_millis(1_709_164_800_123),
        scope: scope.clone(),
        origin: Origin::Webhook,
        trigger: Some(TriggerId::new("github")?),
        workflow: None,
        environment: None,
        headers: vec![Header { name: "ce-region".to_owned(), value: "eu".to_owned() }],
        data: r#"{"ref":"refs/heads/main","who":"Zoë"}"#.into(),
        reply_to: None,
        traceparent: None,
        priority: None,
    })
}

fn admitted(scope: &Scope) -> Result<JournalRecord, Box<dyn std::error::Error>> {
    let execution = NewExecution {
        id: EXECUTION,
        workflow: WorkflowId::new("triage")?,
        version: 1,
        environment: EnvironmentId::new("live")?,
        tier: Tier::Standard,
        trigger: Some(TriggerId::new("github")?),
        sequence: None,
        headers: Vec::new(),
        replay_of: None,
        parent: None,
        origin: None,
        flow: None,
    };
    let event = AdmittedEvent {
        offset: 0,
        scope: scope.clone(),
        status: EventStatus::Delivered,
        reason: None,
        dedup: Vec::new(),
        executions: vec![execution],
        counted: Vec::new(),
        quota: None,
        batches: Vec::new(),
    };
    Ok(JournalRecord::Admitted(Admitted { epoch: 1, at: Timestamp(2), events: vec![event] }))
}

fn finished(scope: &Scope, epoch: u64, status: ExecutionStatus) -> JournalRecord {
    let error = ExecutionError {
        code: "WF-EXEC-FAILED".to_owned(),
        category: "code".to_owned(),
        name: "Error".to_owned(),
        message: "of a writer that was replaced".to_owned(),
        step: None,
        file: None,
        line: None,
        column: None,
        source_line: None,
        stack: None,
    };
    JournalRecord::Finished(Finished {
        epoch,
        at: Timestamp(3),
        execution: EXECUTION,
        scope: scope.clone(),
        parent: None,
        status,
        attempt: 1,
        tier: Tier::Standard,
        results: Vec::new(),
        steps: Vec::new(),
        logs: Vec::new(),
        output: Some("null".to_owned()),
        error: (status == ExecutionStatus::Failed).then_some(error),
        run: None,
    })
}

fn trace(scope: &Scope) -> Result<Trace, Box<dyn std::error::Error>> {
    Ok(Trace {
        epoch: 2,
        started: Timestamp::from_millis(1_709_164_800_200),
        duration_ms: 12,
        execution: EXECUTION,
        attempt: 1,
        scope: scope.clone(),
        workflow: WorkflowId::new("triage")?,
        step: "fetch".to_owned(),
        via: "http".to_owned(),
        method: "POST".to_owned(),
        origin: "https://api.example.com".to_owned(),
        status: Some(201),
        error: None,
        request_bytes: 10,
        response_bytes: 2,
    })
}
