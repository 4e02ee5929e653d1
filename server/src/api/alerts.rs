//! Alerts: the rules, the times that they fired, silence, and a test of their channels.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::alert::{AlertRule, AlertState, AlertTested, AlertView, SilenceAlert, duration_seconds};
use fastn_contract::page::Page;
use fastn_contract::resource::Stored;
use fastn_domain::Timestamp;
use fastn_domain::catalog::{CompiledAlert, ResourceKind, ResourceRow, SILENCE_S_MAX, compile_alert};
use fastn_store::{AlertFilter, Expect};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, page};
use super::idempotency::IdempotencyKey;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::AlertRule;

/// The query of the list of alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertParams {
    /// Only those that stand here.
    #[param(inline)]
    state: Option<AlertState>,
    /// Only those of this rule.
    rule: Option<String>,
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List alert rules
///
/// With the reach of one customer, those about it: the account's own name its channels.
#[utoipa::path(get, path = "/v1/alert-rules", operation_id = "listAlertRules", tag = "Alerts", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<AlertRule>>)))]
pub(crate) async fn list_rules(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<AlertRule>>>> {
    let Json(mut page) = resources::list::<AlertRule>(&api, &caller, KIND, params).await?;
    page.items.retain(|rule| is_shown(&caller, rule.body.customer.as_deref()));
    Ok(Json(page))
}

/// Get an alert rule
#[utoipa::path(get, path = "/v1/alert-rules/{id}", operation_id = "getAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = Stored<AlertRule>)))]
pub(crate) async fn get_rule(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    required(&api, &caller, &id).await?;
    resources::get::<AlertRule>(&api, &caller, KIND, &id).await
}

/// A rule that must be there, and that the caller may see.
async fn required(api: &Api, caller: &Caller, id: &str) -> ApiResult<ResourceRow> {
    let row = resources::required(api, caller, KIND, id).await?;
    let shown = is_shown(caller, row.customer.as_ref().map(|customer| customer.as_str()));
    if shown { Ok(row) } else { Err(ApiError::not_found("alert rule", id)) }
}

/// Whether the caller's reach includes a rule about this customer, or about all.
fn is_shown(caller: &Caller, customer: Option<&str>) -> bool {
    caller.reach().customer().is_none_or(|own| customer == Some(own.as_str()))
}

/// Create or change an alert rule
///
/// A rule counts from the moment that it is enabled. If what it counts changes (metric, scope or window), it begins anew and
/// an alert of it is over; other changes hold from the next evaluation on.
#[utoipa::path(put, path = "/v1/alert-rules/{id}", operation_id = "putAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")), request_body = AlertRule,
    responses((status = 200, description = "Changed", body = Stored<AlertRule>),
        (status = 201, description = "Created", body = Stored<AlertRule>)))]
pub(crate) async fn put_rule(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(rule): Body<AlertRule>,
) -> ApiResult<Response> {
    resources::same_id("id", &id, &rule.id)?;
    put(&api, &caller, &id, rule, expect).await
}

async fn put(api: &Api, caller: &Caller, id: &str, rule: AlertRule, expect: Expect) -> ApiResult<Response> {
    let compiled = compile_alert(rule).map_err(ApiError::fields)?;
    caller.may_configure_for(compiled.customer.as_ref())?;
    if let Some(row) = api.store.resource(&caller.reach(), KIND, id).await? {
        caller.may_configure_for(row.customer.as_ref())?;
    }
    let write = resources::writing(KIND, compiled.customer, id, &compiled.spec, expect)?;
    resources::put::<AlertRule>(api, caller, write).await
}

/// Delete an alert rule
///
/// An alert of it is over, and nobody is told.
#[utoipa::path(delete, path = "/v1/alert-rules/{id}", operation_id = "deleteAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_rule(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    resources::delete(&api, &caller, KIND, &id, expect).await
}

/// Silence an alert rule
///
/// Nobody is told for so long. The rule is evaluated all the same, and if it still fires then, its channels are told.
#[utoipa::path(post, path = "/v1/alert-rules/{id}/silence", operation_id = "silenceAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")), request_body = SilenceAlert,
    responses((status = 200, description = "The rule", body = Stored<AlertRule>)))]
pub(crate) async fn silence(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Body(request): Body<SilenceAlert>,
) -> ApiResult<Response> {
    let seconds = duration_seconds(&request.duration).filter(|seconds| (1..=SILENCE_S_MAX).contains(seconds));
    let Some(seconds) = seconds else {
        return Err(ApiError::invalid("duration", "must be a number with s, m, h or d, from 1s to 90d"));
    };
    let until = api.clock.now().plus(std::time::Duration::from_secs(seconds));
    set_silence(&api, &caller, &id, Some(until)).await
}

/// End the silence of an alert rule
#[utoipa::path(post, path = "/v1/alert-rules/{id}/unsilence", operation_id = "unsilenceAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "The rule", body = Stored<AlertRule>)))]
pub(crate) async fn unsilence(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    set_silence(&api, &caller, &id, None).await
}

/// Changes the rule as it stands: a write in between is not undone.
async fn set_silence(api: &Api, caller: &Caller, id: &str, until: Option<Timestamp>) -> ApiResult<Response> {
    let row = required(api, caller, id).await?;
    let rule: AlertRule = resources::body(&row)?;
    let rule = AlertRule { silenced_until: until.map(|until| until.to_string()), ..rule };
    put(api, caller, id, rule, Expect::Version(row.version)).await
}

/// Test the channels of an alert rule
///
/// Sends each channel a message of the type `alert.test`, once, and tells what became of it.
#[utoipa::path(post, path = "/v1/alert-rules/{id}/test", operation_id = "testAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id")),
    responses((status = 200, description = "What became of it", body = AlertTested)))]
pub(crate) async fn test(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<AlertTested>> {
    let row = required(&api, &caller, &id).await?;
    caller.may_configure_for(row.customer.as_ref())?;
    let rule: CompiledAlert = compile_alert(resources::body(&row)?).map_err(ApiError::fields)?;
    // The same request has the same id, so that a receiver takes a repeat for what it is.
    let request = match key.as_deref() {
        Some(IdempotencyKey(key)) => format!("{}/{id}/{key}", caller.account),
        None => format!("{}/{id}/{}", caller.account, api.clock.now().as_micros()),
    };
    let hash = blake3::hash(request.as_bytes()).to_hex();
    let notifications = (api.test_channels)(caller.account.clone(), rule, hash[..16].to_owned()).await;
    Ok(Json(AlertTested { notifications }))
}

/// List alerts
///
/// Those that fire, those that are silenced, and those that are over, newest first.
#[utoipa::path(get, path = "/v1/alerts", operation_id = "listAlerts", tag = "Alerts", params(AlertParams),
    responses((status = 200, description = "A page", body = Page<AlertView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<AlertParams>,
) -> ApiResult<Json<Page<AlertView>>> {
    let page = page(params.cursor, params.limit)?;
    let filter = AlertFilter { state: params.state, rule: params.rule };
    Ok(Json(api.store.alerts(&caller.reach(), &filter, &page).await?))
}

/// Get an alert
#[utoipa::path(get, path = "/v1/alerts/{id}", operation_id = "getAlert", tag = "Alerts",
    params(("id" = String, Path, description = "The alert's id, `alert_…`")),
    responses((status = 200, description = "The alert", body = AlertView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<AlertView>> {
    let found = api.store.alert(&caller.reach(), &id).await?;
    found.map(Json).ok_or_else(|| ApiError::not_found("alert", &id))
}
