//! Between the machine and the sandbox pool: contexts made, results translated, secrets revealed.

use std::collections::BTreeMap;
use std::sync::Arc;

use fastn_domain::catalog::Catalog;
use fastn_domain::journal::OpRecord;
use fastn_domain::scope::Scope;
use fastn_store::Vault;
use serde::Deserialize;
use serde_json::json;

use super::machine::StartRun;
use crate::runtime::{OpError, OpResult, Program, RunContext, Start};

/// What the journal keeps of a secret that was read.
#[derive(Deserialize)]
struct SecretReference {
    name: String,
    version: u32,
    own: bool,
}

/// The job that starts `run`.
pub(crate) fn start(
    run: &StartRun,
    program: Arc<Program>,
    seed_key: &[u8; 32],
    catalog: &Catalog,
    vault: &Vault,
) -> Start {
    let payload = &run.payload;
    let id = run.execution.to_string();
    let headers: BTreeMap<&str, &str> =
        payload.headers.iter().map(|header| (header.name.as_str(), header.value.as_str())).collect();
    let execution = json!({
        "attempt": run.attempt,
        "workflow": run.run.workflow.as_str(),
        "version": run.run.version,
        "environment": run.run.environment.as_str(),
        "tier": run.tier,
    });
    let customer = json!({"id": run.scope.customer.as_str(), "account": run.scope.account.as_str()});
    let event = json!({
        "id": payload.event_id.as_str(),
        "type": payload.kind,
        "source": payload.source,
        "time": payload.time.to_string(),
    });
    let context = RunContext {
        seed: *blake3::keyed_hash(seed_key, id.as_bytes()).as_bytes(),
        execution_id: id,
        started_at_ms: payload.clock.as_millis(),
        input: Arc::clone(&payload.input),
        headers: Arc::from(serde_json::to_string(&headers).unwrap_or_else(|_| "{}".to_owned())),
        execution: Arc::from(execution.to_string()),
        customer: Arc::from(customer.to_string()),
        event: Arc::from(event.to_string()),
    };
    let results = run.results.iter().map(|record| result(record, &run.scope, catalog, vault)).collect();
    Start { slot: run.slot, program, context, results }
}

/// A journaled result as the sandbox gets it.
pub(crate) fn result(record: &OpRecord, scope: &Scope, catalog: &Catalog, vault: &Vault) -> OpResult {
    let outcome = match (&record.ok, &record.error) {
        (Some(reference), None) if record.kind == "secret_get" => reveal(reference, scope, catalog, vault),
        (Some(value), None) => Ok(value.clone()),
        (_, Some(error)) => Err(OpError {
            name: error.name.clone(),
            message: error.message.clone(),
            code: error.code.clone(),
            retryable: error.retryable,
        }),
        (None, None) => Ok("null".to_owned()),
    };
    OpResult { key: record.key.clone(), at_ms: record.at.as_millis(), outcome }
}

/// The value of the secret's version that the execution saw first. `null` stays `null`.
fn reveal(reference: &str, scope: &Scope, catalog: &Catalog, vault: &Vault) -> Result<String, OpError> {
    let Ok(Some(reference)) = serde_json::from_str::<Option<SecretReference>>(reference) else {
        return Ok("null".to_owned());
    };
    let owner = reference.own.then_some(&scope.customer);
    let sealed = catalog.account(&scope.account).and_then(|account| {
        account.secrets.get(&(owner.cloned(), reference.name.clone()))?.versions.get(&reference.version)
    });
    let refused = |message: String| OpError {
        name: "SecretError".to_owned(),
        message,
        code: "SECRET_UNAVAILABLE".to_owned(),
        retryable: false,
    };
    let Some(sealed) = sealed else {
        return Err(refused(format!("secret {} has no version {} any more", reference.name, reference.version)));
    };
    match vault.open(&scope.account, owner, &reference.name, reference.version, sealed) {
        Ok(value) => Ok(serde_json::Value::from(value.expose()).to_string()),
        Err(error) => Err(refused(error.to_string())),
    }
}
