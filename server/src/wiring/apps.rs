//! What connector apps and handshakes need: secrets that providers hand over, and requests to apps.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use fastn_domain::catalog::{Catalog, ResourceKind, Secret};
use fastn_ingest::{KeepSecret, NewSecret};
use fastn_pipeline::processor::{CallBy, Intercept, Outbound, OutboundRequest};
use fastn_store::{Expect, ResourceWrite, Store, StoreErrorKind, Vault};
use tokio::sync::watch;

use crate::api::{AppAnswer, AppPorts, AppRequest, CallApp};

/// Longest wait until this node can open a secret that was just stored.
const CATALOG_WAIT: Duration = Duration::from_secs(2);

/// Stores secrets that providers hand over.
pub(super) fn keep_secret(
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    catalog: watch::Receiver<Arc<Catalog>>,
) -> KeepSecret {
    Arc::new(move |secret| {
        let (store, vault, catalog) = (store.clone(), vault.clone(), catalog.clone());
        Box::pin(async move { keep(store.as_ref(), &vault, catalog, secret).await })
    })
}

async fn keep(
    store: &dyn Store,
    vault: &Vault,
    mut catalog: watch::Receiver<Arc<Catalog>>,
    secret: NewSecret,
) -> Result<bool, String> {
    let NewSecret { account, customer, name, value } = secret;
    let sealed = vault.seal(&account, customer.as_ref(), &name, 1, &value).map_err(|error| error.to_string())?;
    let id = customer.as_ref().map_or_else(|| name.clone(), |customer| format!("{customer}/{name}"));
    let body = Secret { name, versions: BTreeMap::from([(1, sealed)]), captured: true };
    let body = Some(serde_json::to_string(&body).map_err(|error| error.to_string())?);
    let write = ResourceWrite { kind: ResourceKind::Secret, customer, id, body, expect: Expect::New };
    match store.write(&account, vec![write]).await {
        Ok(rows) => {
            let revision = rows.iter().map(|row| row.revision).max().unwrap_or_default();
            let seen = catalog.wait_for(|catalog| catalog.revision >= revision);
            let _late_is_no_failure = tokio::time::timeout(CATALOG_WAIT, seen).await;
            Ok(true)
        }
        Err(error) if error.kind == StoreErrorKind::Conflict => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

/// What subscriptions need.
///
/// # Errors
/// TLS cannot be set up.
pub(super) fn ports(
    open_secret: fastn_ingest::OpenSecret,
    allow_private_addresses: bool,
    intercept: Option<Intercept>,
    public_url: Option<String>,
) -> anyhow::Result<AppPorts> {
    let outbound = Outbound::new(allow_private_addresses)?.asking(intercept, CallBy::App);
    let call: CallApp = Arc::new(move |request| {
        let outbound = outbound.clone();
        Box::pin(async move {
            let AppRequest { method, url, headers, body } = request;
            let answer = outbound.send(OutboundRequest { method, url, headers, body }).await?;
            Ok(AppAnswer { status: answer.status, body: answer.body })
        })
    });
    Ok(AppPorts { open_secret, call, public_url })
}
