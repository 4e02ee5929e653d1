//! The data key of a customer's records in the log: made when the customer asks for it, switched off when it asks for that,
//! kept for what is sealed already.

use fastn_domain::catalog::{LogKey, ResourceKind, ResourceRow};
use fastn_domain::{CustomerId, Reach, Scope};
use fastn_store::{Expect, PageRequest, ResourceWrite};

use super::Api;
use super::caller::Caller;
use super::commands::random_hex;
use super::problem::{ApiError, ApiResult};
use super::resources;

const KIND: ResourceKind = ResourceKind::LogKey;
/// The version under which a key is sealed: each has an id of its own.
const VERSION: u32 = 1;

/// The writes that must stand before the customer's own, so that no node seals for a customer without knowing the key.
pub(crate) async fn switch(
    api: &Api,
    caller: &Caller,
    customer: &CustomerId,
    seals: bool,
) -> ApiResult<Vec<ResourceWrite>> {
    let known = known(api, caller, customer).await?;
    if let Some(row) = known {
        let mut key: LogKey = resources::body(&row)?;
        if key.active == seals {
            return Ok(Vec::new());
        }
        key.active = seals;
        key.since_the_start = false;
        let expect = Expect::Version(row.version);
        return Ok(vec![resources::writing(KIND, row.customer, &row.id, &key, expect)?]);
    }
    if !seals {
        return Ok(Vec::new());
    }
    let id = format!("lk_{}", &random_hex()[..24]);
    let text = fastn_store::new_log_key();
    let sealed = (api.seal)(&caller.account, Some(customer), &id, VERSION, &text).map_err(|reason| {
        crate::observe::secret_not_sealed(&id, &reason);
        ApiError::new(
            fastn_contract::error::ErrorCode::InternalError,
            "the customer's data key could not be sealed; the server's log says why",
        )
    })?;
    let created = api.clock.now();
    let key = LogKey { id: id.clone(), sealed, active: true, created, since_the_start: false };
    Ok(vec![resources::writing(KIND, Some(customer.clone()), &id, &key, Expect::New)?])
}

/// After the customer was written with a new key: if there was never such a customer before, no record of it lies in the
/// log in the clear. Said only now, since a proof may say too little and never too much.
pub(crate) async fn made_with_customer(api: &Api, caller: &Caller, rows: &[ResourceRow]) -> ApiResult<()> {
    let [row, customer] = rows else { return Ok(()) };
    if row.kind != KIND || row.version != 1 || customer.version != 1 {
        return Ok(());
    }
    let mut key: LogKey = resources::body(row)?;
    key.since_the_start = true;
    let write = resources::writing(KIND, row.customer.clone(), &row.id, &key, Expect::Version(row.version))?;
    resources::write_all(api, caller, vec![write]).await.map(drop)
}

async fn known(api: &Api, caller: &Caller, customer: &CustomerId) -> ApiResult<Option<ResourceRow>> {
    let reach = Reach::Customer(Scope::new(caller.account.clone(), customer.clone()));
    let page = PageRequest { cursor: None, limit: 10 };
    let rows = api.store.resources(&reach, KIND, &page).await?.items;
    Ok(rows.into_iter().find(|row| row.customer.as_ref() == Some(customer)))
}
