//! What `fastn dev` prints: how to reach it, and one line for each execution that ends.

use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::resource::TriggerSource;
use tokio::sync::broadcast::{self, error::RecvError};

use crate::api::ActivityChange;
use crate::cli::style::Style;
use crate::config::ServeConfig;
use crate::project::Project;

/// How to reach the node.
pub(super) fn welcome(style: Style, url: &str, key: &str, config: &ServeConfig, project: &Project) {
    let customer = project.manifest.customers.first().map_or("cus_demo", |customer| customer.id.as_str());
    println!("\n  {} {}", style.bold("fastn dev"), env!("CARGO_PKG_VERSION"));
    println!("  URL          {url}      reference {url}/docs");
    println!("  access key   {key}");
    println!("  account      {}", config.account);
    let customers: Vec<&str> = project.manifest.customers.iter().map(|customer| customer.id.as_str()).collect();
    println!("  customers    {}", if customers.is_empty() { "none yet".to_owned() } else { customers.join(", ") });
    println!("  data         {}", config.data.display());
    println!("  requests that workflows make to {url}/dev/inbox/… are listed at {url}/dev/inbox\n");
    println!("{}", style.dim("  # send an event"));
    println!("  curl -s {url}/v1/events -H 'x-fastn-access-key: {key}' -H 'x-fastn-account-tenant-id: {customer}' \\");
    println!("    -H 'content-type: application/json' -d '{{\"type\":\"demo.hello\",\"data\":{{\"n\":1}}}}'");
    if let Some(workflow) = project.workflows.first() {
        println!("{}", style.dim("  # run a workflow"));
        println!(
            "  curl -s {url}/v1/workflows/{}/run -H 'x-fastn-access-key: {key}' -H 'x-fastn-account-tenant-id: {customer}' \\",
            workflow.id
        );
        println!("    -H 'content-type: application/json' -d '{{\"input\":{{}}}}'");
    }
    for trigger in &project.triggers {
        if matches!(trigger.source, TriggerSource::Webhook { .. }) {
            println!("{}", style.dim("  # webhook"));
            println!("  {url}/v1/webhooks/{}", trigger.id);
        }
    }
    println!("{}", style.dim("\n  # look at what ran, from another terminal in this folder"));
    println!("  fastn executions list\n");
}

/// Prints each execution that ends, until the node stops.
pub(super) async fn show(style: Style, mut changes: broadcast::Receiver<Arc<ActivityChange>>) {
    loop {
        match changes.recv().await {
            Ok(change) if change.execution.status.is_final() => println!("{}", line(style, &change)),
            Ok(_) => {}
            Err(RecvError::Lagged(missed)) => println!("{}", style.dim(&format!("… {missed} more"))),
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(style: Style, change: &ActivityChange) -> String {
    let execution = &change.execution;
    let time = execution.at.get(11..23).unwrap_or(&execution.at);
    let status = match execution.status {
        ExecutionStatus::Completed => style.green("completed"),
        ExecutionStatus::Cancelled => style.dim("cancelled"),
        ExecutionStatus::Timeout => style.red("timeout"),
        _ => style.red("failed"),
    };
    let workflow = execution.workflow.as_deref().unwrap_or("?");
    let duration = execution.duration_ms.map_or_else(String::new, |ms| format!("{ms} ms"));
    let steps = execution.step_count.map_or_else(String::new, |steps| format!("{steps} steps"));
    let mut line = format!(
        "{} {:<14} {:<20} {status} {duration:>8} {steps:>9}  {}",
        style.dim(time),
        execution.customer,
        workflow,
        style.dim(&execution.id)
    );
    if let Some(error) = &execution.error {
        line.push_str(&format!("\n             {}", style.red(error)));
    }
    line
}
