//! The configuration of a run: three customers, a workflow for each script, a parallel and a sequential trigger, a schedule
//! for each policy of overlap, and for each customer a trigger that listens to its account at an app.

use fastn_contract::resource::WorkflowVersion;
use fastn_domain::Timestamp;
use fastn_domain::catalog::{Catalog, ResourceKind, ResourceRow};
use serde_json::{Value, json};

pub(crate) fn catalog(workflows: usize) -> Catalog {
    let mut rows = Vec::new();
    for (id, concurrency) in [("c1", 2), ("c2", 3), ("c3", 100)] {
        rows.push(row(ResourceKind::Customer, id, &json!({"id": id, "concurrency": concurrency})));
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
    for (id, mode) in [("parallel", "parallel"), ("sequential", "sequential")] {
        let routes: Vec<Value> = (0..4)
            .map(|n| json!({"workflow": format!("w{n}"), "filter": {"path": "w", "op": "eq", "value": n}}))
            .collect();
        let body = json!({"id": id, "source": {"type": "webhook"}, "mode": mode, "routes": routes});
        rows.push(row(ResourceKind::Trigger, id, &body));
    }
    for overlap in ["skip", "queue", "cancel_older"] {
        let source = json!({"type": "schedule", "timezone": "UTC", "when": {"mode": "daily", "at": "09:00"},
            "overlap": overlap});
        let body = json!({"id": overlap, "source": source, "routes": [{"workflow": "w0"}]});
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
