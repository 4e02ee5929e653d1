//! Secrets: written, listed and deleted, never read back.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::resource::{SecretView, SecretWrite};
use fastn_domain::catalog::{ResourceKind, ResourceRow, Secret};
use fastn_domain::{CustomerId, Scope};
use fastn_store::Expect;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::Secret;
/// Longest name.
const NAME_BYTES_MAX: usize = 128;
/// Largest value.
const VALUE_BYTES_MAX: usize = 64 * 1024;
/// Versions that are kept for executions that saw them.
const VERSIONS_MAX: usize = 10;

/// Whose secret.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OwnerParams {
    /// The one customer it belongs to; the account's own when absent.
    pub(super) customer: Option<String>,
}

/// List secrets
///
/// Names and versions; values are never shown.
#[utoipa::path(get, path = "/v1/secrets", operation_id = "listSecrets", tag = "Secrets", params(ListParams),
    responses((status = 200, description = "A page", body = Page<SecretView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<SecretView>>> {
    let page = api.store.resources(&caller.reach(), KIND, &params.page()?).await?;
    let items = page.items.iter().map(view).collect::<ApiResult<_>>()?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// Write a secret
///
/// Makes a new version. Executions that saw an older version see it again when they are replayed.
#[utoipa::path(put, path = "/v1/secrets/{name}", operation_id = "putSecret", tag = "Secrets",
    params(("name" = String, Path, description = "UPPER_SNAKE_CASE")), request_body = SecretWrite,
    responses((status = 200, description = "A new version", body = SecretView),
        (status = 201, description = "Created", body = SecretView)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(name): PathParts<String>,
    Precondition(expect): Precondition,
    Body(write): Body<SecretWrite>,
) -> ApiResult<Response> {
    check_name(&name)?;
    resources::same_id("name", &name, &write.name)?;
    if write.value.is_empty() || write.value.len() > VALUE_BYTES_MAX {
        return Err(ApiError::invalid("value", format!("must be 1 to {VALUE_BYTES_MAX} bytes")));
    }
    let customer = owner(&api, &caller, write.customer.as_deref())?;
    let id = row_id(customer.as_ref(), &name);
    let known = api.store.resource(&caller.reach(), KIND, &id).await?;
    let mut secret = match &known {
        Some(row) => resources::body(row)?,
        None => Secret { name: name.clone(), versions: Default::default(), captured: false },
    };
    secret.captured = false;
    let version = secret.versions.last_key_value().map_or(0, |(version, _)| *version) + 1;
    let sealed = (api.seal)(&caller.account, customer.as_ref(), &name, version, &write.value).map_err(|reason| {
        crate::observe::secret_not_sealed(&name, &reason);
        ApiError::new(ErrorCode::InternalError, "the secret could not be sealed; the server's log says why")
    })?;
    secret.versions.insert(version, sealed);
    while secret.versions.len() > VERSIONS_MAX {
        secret.versions.pop_first();
    }
    let expect = match (expect, &known) {
        (Expect::Any, Some(row)) => Expect::Version(row.version),
        (Expect::Any, None) => Expect::New,
        (asked, _) => asked,
    };
    let row = resources::write_one(&api, &caller, resources::writing(KIND, customer, &id, &secret, expect)?).await?;
    let status = if version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&row)?)).into_response())
}

/// Delete a secret
///
/// With every version: executions that need it fail.
#[utoipa::path(delete, path = "/v1/secrets/{name}", operation_id = "deleteSecret", tag = "Secrets",
    params(("name" = String, Path, description = "UPPER_SNAKE_CASE"), OwnerParams),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(name): PathParts<String>,
    Params(params): Params<OwnerParams>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    check_name(&name)?;
    let customer = owner(&api, &caller, params.customer.as_deref())?;
    resources::delete(&api, &caller, KIND, &row_id(customer.as_ref(), &name), expect).await
}

/// The customer whose secret it is. A secret never leaves its customer's region either.
/// Without a word in the body it is the one for whom a key of the account acts.
pub(super) fn owner(api: &Api, caller: &Caller, customer: Option<&str>) -> ApiResult<Option<CustomerId>> {
    let named = checked("customer", customer.map(CustomerId::new).transpose())?;
    let acts_for = caller.reach().customer().cloned().filter(|_| caller.may_configure().is_ok());
    let customer = named.or(acts_for);
    caller.may_configure_for(customer.as_ref())?;
    if let Some(customer) = &customer {
        api.residency.check(&api.catalog.current(), &Scope::new(caller.account.clone(), customer.clone()))?;
    }
    Ok(customer)
}

pub(super) fn check_name(name: &str) -> ApiResult<()> {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase());
    if first && name.len() <= NAME_BYTES_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    Err(ApiError::invalid("name", format!("must be UPPER_SNAKE_CASE of at most {NAME_BYTES_MAX} characters")))
}

pub(super) fn row_id(customer: Option<&CustomerId>, name: &str) -> String {
    match customer {
        Some(customer) => format!("{customer}/{name}"),
        None => name.to_owned(),
    }
}

fn view(row: &ResourceRow) -> ApiResult<SecretView> {
    let secret: Secret = resources::body(row)?;
    Ok(SecretView {
        name: secret.name,
        customer: row.customer.as_ref().map(ToString::to_string),
        version: secret.versions.last_key_value().map_or(0, |(version, _)| *version),
        updated_at: row.updated.to_string(),
    })
}
