//! Tokens that a provider handed over in a handshake, shown once more for the person who must give them back to it: Notion
//! turns a webhook on when its verification token is pasted into its settings. Secrets that people wrote are never shown.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use fastn_contract::error::ErrorCode;
use fastn_contract::resource::CapturedToken;
use fastn_domain::catalog::{ResourceKind, Secret};
use fastn_ingest::SecretAt;

use super::Api;
use super::caller::Caller;
use super::extract::{Params, PathParts};
use super::problem::{ApiError, ApiResult};
use super::resources;
use super::secrets::{OwnerParams, check_name, owner, row_id};

/// How long after it was stored a token is shown.
const SHOWN: Duration = Duration::from_secs(3_600);

/// Show a captured token
///
/// For an hour after a provider's handshake stored it, and only for a secret that a handshake stored.
#[utoipa::path(get, path = "/v1/secrets/{name}/captured-token", operation_id = "getCapturedToken", tag = "Secrets",
    params(("name" = String, Path, description = "UPPER_SNAKE_CASE"), OwnerParams),
    responses((status = 200, description = "The token", body = CapturedToken)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(name): PathParts<String>,
    Params(params): Params<OwnerParams>,
) -> ApiResult<Json<CapturedToken>> {
    check_name(&name)?;
    let customer = owner(&api, &caller, params.customer.as_deref())?;
    let missing = || ApiError::not_found("captured token", &name);
    let id = row_id(customer.as_ref(), &name);
    let row = api.store.resource(&caller.reach(), ResourceKind::Secret, &id).await?.ok_or_else(missing)?;
    let secret: Secret = resources::body(&row)?;
    let age_us = api.clock.now().as_micros().saturating_sub(row.updated.as_micros());
    let fresh = u128::try_from(age_us).is_ok_and(|age| age <= SHOWN.as_micros());
    let newest = secret.versions.last_key_value();
    let (version, sealed) = newest.filter(|_| secret.captured && fresh).ok_or_else(missing)?;
    let at = SecretAt { account: &caller.account, customer: customer.as_ref(), name: &name, version: *version, sealed };
    let token = (api.apps.open_secret)(at).map_err(|reason| {
        crate::observe::secret_not_opened(&name, &reason);
        ApiError::new(ErrorCode::InternalError, "the token could not be opened; the server's log says why")
    })?;
    Ok(Json(CapturedToken { token }))
}
