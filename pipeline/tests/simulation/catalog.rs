//! The configuration of a run: three customers, a workflow for each script, a parallel and a sequential trigger, a schedule
//! for each policy of overlap, and for each customer a trigger that listens to its account at an app. Half of the runs have quotas, and a
//! trigger for each kind of flow control.

use fastn_contract::resource::WorkflowVersion;
use fastn_domain::Timestamp;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use serde_json::{Value, json};

/// Events of `c1` that a minute admits, and of `c2` that a minute runs.
pub(crate) const HARD_LIMIT: u64 = 6;
pub(crate) const QUEUE_LIMIT: u64 = 4;
/// Starts of `rated` in [`RATE_MS`].
pub(crate) const RATE_LIMIT: u64 = 2;
const RATE_MS: u64 = 50;
/// The same of the schedule that skips: long, so that several fires come in a period, of which some are skipped.
const SKIP_RATE_MS: u64 = 500;

/// The triggers with flow control, by the path `w`.
pub(crate) const FLOWS: [&str; 7] = ["flow_skip", "flow_cancel", "lined", "narrow", "rated", "debounced", "batched"];

fn flow_of(trigger: &str) -> Value {
    match trigger {
        "flow_skip" => json!({"singleton": {"mode": "skip", "key": "w"}}),
        "flow_cancel" => json!({"singleton": {"mode": "cancel", "key": "w"}}),
        "lined" => json!({"singleton": {"mode": "queue", "key": "w"}, "priority": "P1"}),
        "narrow" => json!({"concurrency": {"limit": 2}}),
        "rated" => json!({"rate": {"limit": RATE_LIMIT, "periodMs": RATE_MS, "key": "w"}}),
        "debounced" => json!({"debounce": {"periodMs": 30, "maxWaitMs": 80, "key": "w"}}),
        _ => json!({"batch": {"maxSize": 3, "maxWaitMs": 60, "key": "w"}, "concurrency": {"limit": 1}}),
    }
}

pub(crate) fn catalog(workflows: usize, limited: bool) -> Catalog {
    let mut rows = Vec::new();
    for (id, concurrency) in [("c1", 2), ("c2", 3), ("c3", 100)] {
        let quotas = match id {
            "c1" if limited => json!({"eventsPerMinute": {"limit": HARD_LIMIT}}),
            "c2" if limited => json!({"eventsPerMinute": {"limit": QUEUE_LIMIT, "mode": "queue"}}),
            _ => json!({}),
        };
        let customer = json!({"id": id, "concurrency": concurrency, "quotas": quotas});
        rows.push(row(ResourceKind::Customer, id, &customer));
    }
    for number in 0..workflows {
        let id = format!("w{number}");
        let retry = json!({"maxAttempts": 6, "initialInterval": 10, "backoffCoefficient": 2.0, "maxInterval": 100});
        rows.push(row(ResourceKind::Workflow, &id, &json!({"id": id, "tier": "long", "retry": retry})));
        let version = WorkflowVersion {
            workflow: id.clone(),
            version: 1,
            source: String::new(),
            file: String::new(),
            source_hash: String::new(),
        };
        rows.push(row(ResourceKind::WorkflowVersion, &format!("{id}@1"), &json!(version)));
    }
    let plain = [("parallel", "parallel", None), ("sequential", "sequential", None)];
    let flows = FLOWS.map(|id| (id, "parallel", Some(flow_of(id))));
    for (id, mode, flow) in plain.into_iter().chain(flows) {
        let routes: Vec<Value> = (0..4)
            .map(|n| json!({"workflow": format!("w{n}"), "filter": {"path": "w", "op": "eq", "value": n}}))
            .collect();
        let body = json!({"id": id, "source": {"type": "webhook"}, "mode": mode, "routes": routes, "flow": flow});
        rows.push(row(ResourceKind::Trigger, id, &body));
    }
    for overlap in ["skip", "queue", "cancel_older"] {
        let source = json!({"type": "schedule", "timezone": "UTC", "when": {"mode": "daily", "at": "09:00"},
            "overlap": overlap});
        let rate = json!({"rate": {"limit": RATE_LIMIT, "periodMs": SKIP_RATE_MS}});
        let flow = (overlap == "skip").then_some(rate);
        let body = json!({"id": overlap, "source": source, "routes": [{"workflow": "w0"}], "flow": flow});
        rows.push(row(ResourceKind::Trigger, overlap, &body));
    }
    rows.push(row(ResourceKind::App, "app", &json!({"id": "app", "mappedTo": "a", "events": [{"id": "made"}]})));
    for customer in ["c1", "c2", "c3"] {
        let source = json!({"type": "appEvent", "app": "app", "event": "made", "accountId": "shared"});
        let id = format!("app-{customer}");
        let body = json!({"id": id, "customer": customer, "source": source, "routes": [{"workflow": "w0"}]});
        rows.push(row(ResourceKind::Trigger, &id, &body));
    }
    let (catalog, errors) = Catalog::default().with(&rows);
    assert!(errors.is_empty(), "{errors:?}");
    catalog
}

fn row(kind: ResourceKind, id: &str, body: &Value) -> ResourceRow {
    ResourceRow {
        kind,
        account: "acc".parse().expect("a plain id"),
        customer: None,
        id: id.to_owned(),
        revision: 1,
        version: 1,
        created: Timestamp(0),
        updated: Timestamp(0),
        deleted: false,
        body: body.to_string(),
    }
}
