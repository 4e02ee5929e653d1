//! Customers of the account.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::error::ErrorCode;
use fastn_contract::error::FieldError;
use fastn_contract::page::Page;
use fastn_contract::resource::{Customer, Stored};
use fastn_domain::CustomerId;
use fastn_domain::catalog::ResourceKind;
use fastn_domain::scope::CUSTOMER_NONE;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};
use super::{erasures, log_keys};

const KIND: ResourceKind = ResourceKind::Customer;
/// Most executions of one customer at once, and its greatest share in the fair queue.
pub(crate) const SHARE_MAX: u32 = 1_000_000;

/// List customers
///
/// By id. A key of one customer sees itself only.
#[utoipa::path(get, path = "/v1/customers", operation_id = "listCustomers", tag = "Customers", params(ListParams),
    responses((status = 200, description = "A page", body = Page<Stored<Customer>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<Customer>>>> {
    resources::list(&api, &caller, KIND, params).await
}

/// Get a customer
#[utoipa::path(get, path = "/v1/customers/{id}", operation_id = "getCustomer", tag = "Customers",
    params(("id" = String, Path, description = "The customer's id")),
    responses((status = 200, description = "The customer", body = Stored<Customer>)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Response> {
    checked("id", CustomerId::new(&id))?;
    resources::get::<Customer>(&api, &caller, KIND, &id).await
}

/// Create or change a customer
///
/// The id is yours: use the one by which your own system knows the customer.
#[utoipa::path(put, path = "/v1/customers/{id}", operation_id = "putCustomer", tag = "Customers",
    params(("id" = String, Path, description = "The customer's id")), request_body = Customer,
    responses((status = 200, description = "Changed", body = Stored<Customer>),
        (status = 201, description = "Created", body = Stored<Customer>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
    Body(customer): Body<Customer>,
) -> ApiResult<Response> {
    let own = checked("id", CustomerId::new(&id))?;
    resources::same_id("id", &id, &customer.id)?;
    if id == CUSTOMER_NONE {
        let message = format!("{CUSTOMER_NONE} stands for no customer at all; choose another id");
        return Err(ApiError::invalid("id", message));
    }
    for (part, value) in [("concurrency", customer.concurrency), ("weight", customer.weight)] {
        if value.is_some_and(|value| value == 0 || value > SHARE_MAX) {
            return Err(ApiError::invalid(part, format!("must be 1 to {SHARE_MAX}")));
        }
    }
    check_limits(&api, &caller, &customer)?;
    if let Some(erasure) = erasures::running(&api, &caller.account, &own) {
        let detail = format!("customer {id} is being erased by {erasure}; wait until that is done");
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    let mut writes = log_keys::switch(&api, &caller, &own, customer.encrypt_log).await?;
    writes.push(resources::writing(KIND, Some(own), &id, &customer, expect)?);
    let rows = resources::write_all(&api, &caller, writes).await?;
    log_keys::made_with_customer(&api, &caller, &rows).await?;
    resources::written::<Customer>(&rows)
}

/// Its own limits, and the tier that gives it others.
fn check_limits(api: &Api, caller: &Caller, customer: &Customer) -> ApiResult<()> {
    let mut errors = Vec::new();
    super::plans::check(&customer.quotas, &mut errors);
    if customer.concurrency.is_some() && customer.quotas.concurrent_executions.is_some() {
        let message = "is the older form of quotas.concurrentExecutions; give one of the two".to_owned();
        errors.push(FieldError { path: "concurrency".to_owned(), message });
    }
    if let Some(tier) = &customer.tier {
        let catalog = api.catalog.current();
        if !catalog.account(&caller.account).is_some_and(|account| account.tiers.contains_key(tier)) {
            let message = format!("there is no customer tier {tier:?}; create it first");
            errors.push(FieldError { path: "tier".to_owned(), message });
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(ApiError::fields(errors)) }
}

/// Delete a customer
///
/// Its events are refused from now on. What it did stays in activity until retention ends.
#[utoipa::path(delete, path = "/v1/customers/{id}", operation_id = "deleteCustomer", tag = "Customers",
    params(("id" = String, Path, description = "The customer's id")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    checked("id", CustomerId::new(&id))?;
    resources::delete(&api, &caller, KIND, &id, expect).await
}
