//! What `fastn dev` prints: how to reach it, and one line for each execution that ends.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus;
use fastn_contract::resource::{Trigger, TriggerSource, Verification};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::api::ActivityChange;
use crate::cli::style::Style;
use crate::config::ServeConfig;
use crate::project::Project;

/// What the greeting tells of.
pub(super) struct Welcome<'a> {
    pub(super) style: Style,
    pub(super) url: &'a str,
    pub(super) key: &'a str,
    pub(super) config: &'a ServeConfig,
    pub(super) project: &'a Project,
    pub(super) directory: &'a Path,
}

/// How to reach the node, and lines to paste.
pub(super) fn welcome(welcome: &Welcome<'_>) {
    let Welcome { style, url, key, config, project, directory } = welcome;
    let customers: Vec<&str> = project.manifest.customers.iter().map(|customer| customer.id.as_str()).collect();
    let customer = customers.first().copied().unwrap_or_default();
    println!("\n  {} {}", style.bold("fastn dev"), env!("CARGO_PKG_VERSION"));
    println!("  URL          {url}      reference {url}/docs");
    println!("  access key   {key}");
    println!("  account      {}", config.account);
    println!("  customers    {}", customers.join(", "));
    println!("  data         {}", config.data.display());
    println!("  inbox        {url}/dev/inbox lists the requests that workflows made to {url}/dev/inbox/…\n");
    let headers = format!("-H 'x-fastn-access-key: {key}' -H 'x-fastn-account-tenant-id: {customer}'");
    println!("{}", style.dim("  # send an event"));
    println!("  curl -s {url}/v1/events {headers} \\");
    println!("    -H 'content-type: application/json' -d '{{\"type\":\"demo.hello\",\"data\":{{\"n\":1}}}}'");
    if let Some(workflow) = project.workflows.first() {
        println!("{}", style.dim("  # run a workflow by hand"));
        println!("  curl -s {url}/v1/workflows/{}/run {headers} \\", workflow.id);
        println!("    -H 'content-type: application/json' -d {}", input_of(project, directory));
    }
    for trigger in &project.triggers {
        if let TriggerSource::Webhook { verification, .. } = &trigger.source {
            println!("{}", style.dim(&format!("  # webhook {}", trigger.id)));
            match github_lines(url, trigger, verification, project, directory) {
                Some(lines) => println!("{lines}"),
                None => println!("  {url}/v1/webhooks/{}", trigger.id),
            }
        }
    }
    println!("{}", style.dim("\n  # look at what ran, from another terminal in this folder"));
    println!("  fastn executions list\n");
}

/// The body of a run by hand, as a word of a shell: with the payload that a webhook of the project would bring, if it has
/// one.
fn input_of(project: &Project, directory: &Path) -> String {
    let payload = project.triggers.iter().find_map(|trigger| payload_of(trigger, &directory.join("payloads")));
    match payload.and_then(|path| path.canonicalize().ok()) {
        Some(path) => format!("\"{{\\\"input\\\":$(cat {})}}\"", quoted(&path.display().to_string())),
        None => "'{\"input\":{}}'".to_owned(),
    }
}

/// A command that sends a payload of the project's `payloads/` as GitHub would, signed where it is pasted.
fn github_lines(
    url: &str,
    trigger: &Trigger,
    verification: &Verification,
    project: &Project,
    directory: &Path,
) -> Option<String> {
    let Verification::Github { secret } = verification else { return None };
    let name = secret.names().first()?;
    let secret = project.manifest.secrets.iter().find(|known| known.name == *name)?;
    let payload = payload_of(trigger, &directory.join("payloads"))?;
    let event = payload.file_stem()?.to_str()?.split('.').next()?.to_owned();
    let file = quoted(&payload.canonicalize().ok()?.display().to_string());
    let secret = quoted(&secret.value);
    let once = if trigger.deduplication_key.is_some() { "; sent twice, it still runs once" } else { "" };
    Some(format!(
        "  curl -s {url}/v1/webhooks/{} -H 'content-type: application/json' -H 'x-github-event: {event}' \\\n    \
         -H \"x-github-delivery: $(date +%s)-$$\" --data-binary @{file} \\\n    \
         -H \"x-hub-signature-256: sha256=$(openssl dgst -sha256 -hmac {secret} < {file} | sed 's/.* //')\"\n  \
         # that is {event} from payloads/{once}",
        trigger.id
    ))
}

/// The first payload whose event a route of the trigger names, else the first.
fn payload_of(trigger: &Trigger, payloads: &Path) -> Option<PathBuf> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(payloads).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    let routes = serde_json::to_string(&trigger.routes).unwrap_or_default();
    let named = |path: &&PathBuf| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        routes.contains(&format!("\"github.{stem}\""))
    };
    files.iter().find(named).or(files.first()).cloned()
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
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

#[cfg(test)]
mod tests {
    /// Property: a quote inside a secret neither ends the word nor is lost.
    #[test]
    fn quotes_for_a_shell() {
        let word = super::quoted("It's a \"$HOME\"");
        let said = std::process::Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().unwrap();
        assert_eq!(String::from_utf8(said.stdout).unwrap(), "It's a \"$HOME\"");
    }
}
