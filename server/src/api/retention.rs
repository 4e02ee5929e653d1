//! How long an account's activity is kept.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fastn_contract::privacy::{RETENTION_DAYS_MAX, RetentionSettings};
use fastn_domain::Reach;
use fastn_domain::catalog::ResourceKind;
use fastn_store::Expect;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Precondition};
use super::problem::{ApiError, ApiResult};
use super::resources;

const KIND: ResourceKind = ResourceKind::Retention;
/// The one row of an account.
const ID: &str = "retention";

/// Get the retention
///
/// How long activity and payloads are kept; the built-in default while nobody has set it.
#[utoipa::path(get, path = "/v1/settings/retention", operation_id = "getRetention", tag = "Settings",
    responses((status = 200, description = "The retention", body = RetentionSettings)))]
pub(crate) async fn get(State(api): State<Api>, caller: Caller) -> ApiResult<Json<RetentionSettings>> {
    let reach = Reach::Account(caller.account.clone());
    let row = api.store.resource(&reach, KIND, ID).await?;
    Ok(Json(row.as_ref().map(resources::body).transpose()?.unwrap_or_default()))
}

/// Set the retention
///
/// Counted from now on backwards: what is older goes with the next round, within the hour.
#[utoipa::path(put, path = "/v1/settings/retention", operation_id = "putRetention", tag = "Settings",
    request_body = RetentionSettings,
    responses((status = 200, description = "Set", body = RetentionSettings)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    Precondition(expect): Precondition,
    Body(settings): Body<RetentionSettings>,
) -> ApiResult<Response> {
    for (part, days) in [("activityDays", Some(settings.activity_days)), ("payloadDays", settings.payload_days)] {
        if days.is_some_and(|days| days == 0 || days > RETENTION_DAYS_MAX) {
            return Err(ApiError::invalid(part, format!("must be 1 to {RETENTION_DAYS_MAX}")));
        }
    }
    if settings.payload_days.is_some_and(|days| days > settings.activity_days) {
        return Err(ApiError::invalid(
            "payloadDays",
            "payloads cannot be kept longer than the activity they belong to",
        ));
    }
    let expect = if expect == Expect::New { Expect::Any } else { expect };
    resources::write_one(&api, &caller, resources::writing(KIND, None, ID, &settings, expect)?).await?;
    Ok((StatusCode::OK, Json(settings)).into_response())
}
