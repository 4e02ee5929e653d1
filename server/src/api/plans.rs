//! Plans, tiers of customers, and which plan the account has.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::error::FieldError;
use fastn_contract::page::Page;
use fastn_contract::quota::{CustomerTier, Dimension, Plan, QuotaSettings, Quotas};
use fastn_contract::resource::Stored;
use fastn_domain::CustomerId;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::quota::PLAN_UNLIMITED;

use super::Api;
use super::caller::Caller;
use super::customers::SHARE_MAX;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

/// The id of the one row of settings.
const SETTINGS: &str = "settings";
/// Greatest limit: what JSON numbers hold exactly.
const LIMIT_MAX: u64 = 1 << 53;

/// What is wrong with limits, with its place.
pub(crate) fn check(quotas: &Quotas, errors: &mut Vec<FieldError>) {
    for dimension in Dimension::ALL {
        let Some(limit) = quotas.get(dimension) else { continue };
        let mut complain = |part: &str, message: String| {
            errors.push(FieldError { path: format!("quotas.{}.{part}", dimension.as_str()), message });
        };
        if limit.limit > LIMIT_MAX {
            complain("limit", format!("must be 0 to {LIMIT_MAX}"));
        }
        if let Some(mode) = limit.mode.filter(|mode| !dimension.modes().contains(mode)) {
            let modes: Vec<&str> = dimension.modes().iter().map(|mode| mode.as_str()).collect();
            complain(
                "mode",
                format!("{} is enforced by {}, not by {}", dimension.words(), modes.join(", "), mode.as_str()),
            );
        }
    }
}

fn checked_quotas(quotas: &Quotas) -> ApiResult<()> {
    let mut errors = Vec::new();
    check(quotas, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

/// List plans
///
/// Those that are configured. `free` and `unlimited` are built in.
#[utoipa::path(get, path = "/v1/plans", operation_id = "listPlans", tag = "Quotas", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<Plan>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<Plan>>>> {
    resources::list(&api, &caller, ResourceKind::Plan, params).await
}

/// Get a plan
#[utoipa::path(get, path = "/v1/plans/{id}", operation_id = "getPlan", tag = "Quotas",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 200, description = "The plan", body = Stored<Plan>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", CustomerId::new(&id))?;
    resources::get::<Plan>(&api, &caller, ResourceKind::Plan, &id).await
}

/// Create or change a plan
///
/// Takes effect at once for every customer whose limits come from it. One named `free` takes the place of the built-in one.
#[utoipa::path(put, path = "/v1/plans/{id}", operation_id = "putPlan", tag = "Quotas",
    params(("id" = String, Path, description = "The plan's id")), request_body = Plan,
    responses((status = 200, description = "Changed", body = Stored<Plan>),
        (status = 201, description = "Created", body = Stored<Plan>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(plan): Body<Plan>,
) -> ApiResult<Response> {
    checked("id", CustomerId::new(&id))?;
    resources::same_id("id", &id, &plan.id)?;
    if id == PLAN_UNLIMITED {
        return Err(ApiError::invalid("id", "unlimited limits nothing; choose another id"));
    }
    checked_quotas(&plan.quotas)?;
    let write = resources::writing(ResourceKind::Plan, None, &id, &plan, expect)?;
    resources::put::<Plan>(&api, &caller, write).await
}

/// Delete a plan
///
/// An account that has it is limited by no plan from now on.
#[utoipa::path(delete, path = "/v1/plans/{id}", operation_id = "deletePlan", tag = "Quotas",
    params(("id" = String, Path, description = "The plan's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    checked("id", CustomerId::new(&id))?;
    resources::delete(&api, &caller, ResourceKind::Plan, &id, expect).await
}

/// List customer tiers
#[utoipa::path(get, path = "/v1/customer-tiers", operation_id = "listCustomerTiers", tag = "Quotas", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<CustomerTier>>)))]
pub(crate) async fn list_tiers(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<CustomerTier>>>> {
    resources::list(&api, &caller, ResourceKind::CustomerTier, params).await
}

/// Get a customer tier
#[utoipa::path(get, path = "/v1/customer-tiers/{id}", operation_id = "getCustomerTier", tag = "Quotas",
    params(("id" = String, Path, description = "The tier's id")),
    responses((status = 200, description = "The tier", body = Stored<CustomerTier>)))]
pub(crate) async fn get_tier(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", CustomerId::new(&id))?;
    resources::get::<CustomerTier>(&api, &caller, ResourceKind::CustomerTier, &id).await
}

/// Create or change a customer tier
///
/// Its limits go before the plan's, for every customer that names it. Takes effect at once.
#[utoipa::path(put, path = "/v1/customer-tiers/{id}", operation_id = "putCustomerTier", tag = "Quotas",
    params(("id" = String, Path, description = "The tier's id")), request_body = CustomerTier,
    responses((status = 200, description = "Changed", body = Stored<CustomerTier>),
        (status = 201, description = "Created", body = Stored<CustomerTier>)))]
pub(crate) async fn put_tier(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(tier): Body<CustomerTier>,
) -> ApiResult<Response> {
    checked("id", CustomerId::new(&id))?;
    resources::same_id("id", &id, &tier.id)?;
    if tier.weight.is_some_and(|weight| weight == 0 || weight > SHARE_MAX) {
        return Err(ApiError::invalid("weight", format!("must be 1 to {SHARE_MAX}")));
    }
    checked_quotas(&tier.quotas)?;
    let write = resources::writing(ResourceKind::CustomerTier, None, &id, &tier, expect)?;
    resources::put::<CustomerTier>(&api, &caller, write).await
}

/// Delete a customer tier
///
/// Customers that name it are limited by the plan from now on.
#[utoipa::path(delete, path = "/v1/customer-tiers/{id}", operation_id = "deleteCustomerTier", tag = "Quotas",
    params(("id" = String, Path, description = "The tier's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete_tier(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    checked("id", CustomerId::new(&id))?;
    resources::delete(&api, &caller, ResourceKind::CustomerTier, &id, expect).await
}

/// Get the account's plan
#[utoipa::path(get, path = "/v1/quota-settings", operation_id = "getQuotaSettings", tag = "Quotas",
    responses((status = 200, description = "The settings", body = QuotaSettings)))]
pub(crate) async fn settings(State(api): State<Api>, caller: Caller) -> ApiResult<Json<QuotaSettings>> {
    let row = api.store.resource(&caller.reach(), ResourceKind::QuotaSettings, SETTINGS).await?;
    let settings = row.as_ref().map(resources::body).transpose()?;
    Ok(Json(settings.unwrap_or(QuotaSettings { plan: PLAN_UNLIMITED.to_owned() })))
}

/// Choose the account's plan
///
/// One that is configured, `free` or `unlimited`. Takes effect at once.
#[utoipa::path(put, path = "/v1/quota-settings", operation_id = "putQuotaSettings", tag = "Quotas",
    request_body = QuotaSettings,
    responses((status = 200, description = "Changed", body = Stored<QuotaSettings>),
        (status = 201, description = "Set for the first time", body = Stored<QuotaSettings>)))]
pub(crate) async fn put_settings(
    State(api): State<Api>,
    caller: Caller,
    Precondition(expect): Precondition,
    Body(settings): Body<QuotaSettings>,
) -> ApiResult<Response> {
    let catalog = api.catalog.current();
    let built_in = fastn_domain::quota::built_in_plan(&settings.plan).is_some();
    let known =
        built_in || catalog.account(&caller.account).is_some_and(|one| one.plan_named(&settings.plan).is_some());
    if !known {
        return Err(ApiError::invalid("plan", format!("there is no plan {:?}; create it first", settings.plan)));
    }
    let write = resources::writing(ResourceKind::QuotaSettings, None, SETTINGS, &settings, expect)?;
    resources::put::<QuotaSettings>(&api, &caller, write).await
}
