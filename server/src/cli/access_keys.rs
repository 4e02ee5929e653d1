//! `fastn access-keys`: keys of accounts and customers, written to the store itself. For operators: whoever may do this has
//! the database. The first key of a cluster is made here.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use fastn_domain::catalog::{AccessKey, ResourceKind, ResourceRow};
use fastn_domain::{AccountId, CustomerId, Reach};
use fastn_store::{Expect, PageRequest, ResourceWrite, Store};
use serde::Serialize;

use super::print;
use crate::clock::SystemClock;
use crate::config::{Layer, ServeConfig};
use crate::wiring;

/// Shortest key that is taken from outside.
const KEY_BYTES_MIN: usize = 32;
/// Rows of one read.
const PAGE_ROWS: u32 = 200;

/// Access keys: create, list, revoke
#[derive(Debug, Subcommand)]
#[command(after_help = "Example: fastn access-keys create --account acc_acme --store postgres://fastn_app@db/fastn")]
pub(crate) enum AccessKeyCommand {
    /// Create a key, and the account if it is new; the key is shown this once
    Create {
        /// A name for people
        #[arg(long, default_value = "created by hand")]
        name: String,
        /// The one customer that it may act for
        #[arg(long, value_name = "ID")]
        customer: Option<String>,
        /// Take the key from FASTN_ACCESS_KEY instead of making one: the same key for the cells of several regions
        #[arg(long)]
        given: bool,
        #[command(flatten)]
        place: Place,
    },
    /// List the keys of the account, without the keys themselves
    List {
        #[command(flatten)]
        place: Place,
    },
    /// Revoke a key; it stops working within a second
    Revoke {
        /// The key's id, from the list
        id: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where the keys are kept.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// A YAML file with the keys of the flags
    #[arg(long, env = "FASTN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    layer: Layer,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// What is shown of a key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown {
    id: String,
    name: String,
    account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer: Option<String>,
    created: String,
    /// Only when it was just made.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key: Option<String>,
}

pub(crate) async fn run(command: AccessKeyCommand) -> anyhow::Result<()> {
    let place = match &command {
        AccessKeyCommand::Create { place, .. }
        | AccessKeyCommand::List { place }
        | AccessKeyCommand::Revoke { place, .. } => place,
    };
    let json = place.json;
    let config = ServeConfig::layered(place.layer.clone(), place.config.as_deref(), false)?;
    let account = AccountId::new(&config.account).context("the account")?;
    let store = wiring::open_store(&config, Arc::new(SystemClock)).await?;
    let shown = match command {
        AccessKeyCommand::Create { name, customer, given, .. } => {
            create(&*store, &account, name, customer, given).await.map(|shown| vec![shown])
        }
        AccessKeyCommand::List { .. } => list(&*store, &account).await,
        AccessKeyCommand::Revoke { id, .. } => revoke(&*store, &account, id).await.map(|()| Vec::new()),
    };
    store.close().await;
    tell(&shown?, json)
}

async fn create(
    store: &dyn Store,
    account: &AccountId,
    name: String,
    customer: Option<String>,
    given: bool,
) -> anyhow::Result<Shown> {
    let customer = customer.map(|id| CustomerId::new(&id)).transpose().context("the customer")?;
    let (key, hash) = if given {
        let key = std::env::var("FASTN_ACCESS_KEY").context("FASTN_ACCESS_KEY holds no key")?;
        if key.len() < KEY_BYTES_MIN {
            bail!("the key in FASTN_ACCESS_KEY is shorter than {KEY_BYTES_MIN} bytes and so could be guessed");
        }
        let hash = fastn_store::hash_access_key(&key);
        (key, hash)
    } else {
        fastn_store::new_access_key("fsk_live_")
    };
    let id = format!("key_{}", &hash[..12]);
    let key_row = AccessKey { id: id.clone(), name, hash, customer, expires: None };
    let write =
        |kind, id: String, body| ResourceWrite { kind, customer: None, id, body: Some(body), expect: Expect::Any };
    let writes = vec![
        write(ResourceKind::Account, account.to_string(), serde_json::json!({"id": account}).to_string()),
        write(ResourceKind::AccessKey, id, serde_json::to_string(&key_row)?),
    ];
    let rows = store.write(account, writes).await.context("write the access key")?;
    let row = rows.last().context("the key's row")?;
    Ok(Shown { access_key: Some(key), ..shown(row)? })
}

async fn list(store: &dyn Store, account: &AccountId) -> anyhow::Result<Vec<Shown>> {
    let (mut keys, mut cursor) = (Vec::new(), None);
    loop {
        let page = PageRequest { cursor, limit: PAGE_ROWS };
        let page = store.resources(&Reach::Account(account.clone()), ResourceKind::AccessKey, &page).await?;
        for row in &page.items {
            keys.push(shown(row)?);
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(keys);
        }
    }
}

async fn revoke(store: &dyn Store, account: &AccountId, id: String) -> anyhow::Result<()> {
    let reach = Reach::Account(account.clone());
    let Some(row) = store.resource(&reach, ResourceKind::AccessKey, &id).await? else {
        bail!("account {account} has no key {id}; see fastn access-keys list");
    };
    let expect = Expect::Version(row.version);
    let write = ResourceWrite { kind: ResourceKind::AccessKey, customer: row.customer, id, body: None, expect };
    store.write(account, vec![write]).await.context("revoke the access key")?;
    Ok(())
}

fn shown(row: &ResourceRow) -> anyhow::Result<Shown> {
    let key: AccessKey = serde_json::from_str(&row.body).context("read a key's row")?;
    Ok(Shown {
        id: key.id,
        name: key.name,
        account: row.account.to_string(),
        customer: key.customer.map(|customer| customer.to_string()),
        created: row.created.to_string(),
        access_key: None,
    })
}

fn tell(keys: &[Shown], json: bool) -> anyhow::Result<()> {
    if json {
        return print::value(&keys);
    }
    for key in keys {
        let customer = key.customer.as_deref().unwrap_or("all customers");
        print::line(format_args!("{}  {}  {customer}  {}  {}", key.id, key.account, key.created, key.name))?;
        if let Some(secret) = &key.access_key {
            print::line(format_args!("access key  {secret}"))?;
            print::line(format_args!("            shown this once; only its hash is kept"))?;
        }
    }
    Ok(())
}
