//! The real binary, and what tests configure through its API.

use std::path::PathBuf;

use anyhow::{Context, bail};
use fastn_sdk::Fastn;
use fastn_sdk::contract::command::PublishVersion;
use fastn_sdk::contract::resource::{Customer, Trigger, Workflow};
use serde_json::{Value, json};
/// The account of every test.
pub const ACCOUNT: &str = "acc_test";

/// The binary beside the test's own: `cargo build --bin fastn` puts it there, which `make test` does first.
///
/// # Errors
/// It is not there.
pub fn binary() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test.parent().and_then(|deps| deps.parent()).context("find the folder of the build")?;
    let binary = folder.join("fastn");
    if !binary.is_file() {
        bail!("there is no {}; run `cargo build --bin fastn` first, or use `make test`", binary.display());
    }
    Ok(binary)
}

/// Adds a customer, with further settings.
///
/// # Errors
/// The server refuses.
pub async fn put_customer(fastn: &Fastn, id: &str, settings: Value) -> anyhow::Result<()> {
    let mut body = json!({"id": id});
    merge(&mut body, settings);
    let customer: Customer = serde_json::from_value(body)?;
    fastn.put_customer(&customer).await?;
    Ok(())
}

/// Publishes a workflow with settings, and a trigger that runs it for events of the type `<id>`.
///
/// # Errors
/// The server refuses.
pub async fn put_workflow(fastn: &Fastn, id: &str, settings: Value, source: &str) -> anyhow::Result<()> {
    let mut body = json!({"id": id});
    merge(&mut body, settings);
    let workflow: Workflow = serde_json::from_value(body)?;
    fastn.put_workflow(&workflow).await?;
    fastn.publish(id, &PublishVersion { source: source.to_owned(), file: None }).await?;
    let trigger: Trigger = serde_json::from_value(json!({
        "id": format!("on_{id}"), "source": {"type": "event", "types": [id]}, "routes": [{"workflow": id}],
    }))?;
    fastn.put_trigger(&trigger).await?;
    Ok(())
}

fn merge(body: &mut Value, settings: Value) {
    if let (Value::Object(body), Value::Object(settings)) = (body, settings) {
        body.extend(settings);
    }
}
