//! One create, read, update and delete for every kind of configuration.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fastn_contract::page::Page;
use fastn_contract::resource::Stored;
use fastn_domain::CustomerId;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_store::{Expect, PageRequest, ResourceWrite};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::problem::{ApiError, ApiResult};
use crate::observe;

/// The query of a list of configuration.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    pub(crate) cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    pub(crate) limit: Option<u32>,
}

impl ListParams {
    /// Checked.
    pub(crate) fn page(self) -> ApiResult<PageRequest> {
        super::extract::page(self.cursor, self.limit)
    }
}

/// A row as the API shows it.
pub(crate) fn stored<T: DeserializeOwned>(row: &ResourceRow) -> ApiResult<Stored<T>> {
    Ok(Stored {
        revision: row.version,
        created_at: row.created.to_string(),
        updated_at: row.updated.to_string(),
        body: body(row)?,
    })
}

/// The body of a row.
pub(crate) fn body<T: DeserializeOwned>(row: &ResourceRow) -> ApiResult<T> {
    serde_json::from_str(&row.body).map_err(|error| {
        observe::row_unreadable(row.kind, &row.id, &error);
        let detail = format!("the stored {} {:?} cannot be read", row.kind.as_str(), row.id);
        ApiError::new(fastn_contract::error::ErrorCode::DbError, detail)
    })
}

/// One page of a kind.
pub(crate) async fn list<T: DeserializeOwned>(
    api: &Api,
    caller: &Caller,
    kind: ResourceKind,
    params: ListParams,
) -> ApiResult<Json<Page<Stored<T>>>> {
    let page = api.store.resources(&caller.reach(), kind, &params.page()?).await?;
    let items = page.items.iter().map(stored).collect::<ApiResult<_>>()?;
    Ok(Json(Page { items, next_cursor: page.next_cursor }))
}

/// One row that must be there.
pub(crate) async fn required(api: &Api, caller: &Caller, kind: ResourceKind, id: &str) -> ApiResult<ResourceRow> {
    let row = api.store.resource(&caller.reach(), kind, id).await?;
    row.ok_or_else(|| ApiError::not_found(name_of(kind), id))
}

/// One resource with its revision in `ETag`.
pub(crate) async fn get<T: DeserializeOwned + Serialize>(
    api: &Api,
    caller: &Caller,
    kind: ResourceKind,
    id: &str,
) -> ApiResult<Response> {
    let row = required(api, caller, kind, id).await?;
    answer::<T>(StatusCode::OK, &row)
}

/// Writes one resource: 201 when it is new, 200 when it was there.
pub(crate) async fn put<T: DeserializeOwned + Serialize>(
    api: &Api,
    caller: &Caller,
    write: ResourceWrite,
) -> ApiResult<Response> {
    written::<T>(&[write_one(api, caller, write).await?])
}

/// The answer to writes of which the last one was asked for.
pub(crate) fn written<T: DeserializeOwned + Serialize>(rows: &[ResourceRow]) -> ApiResult<Response> {
    let missing = || ApiError::new(fastn_contract::error::ErrorCode::DbError, "the database returned no row");
    let row = rows.last().ok_or_else(missing)?;
    let status = if row.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    answer::<T>(status, row)
}

/// Deletes one resource that must be there.
pub(crate) async fn delete(
    api: &Api,
    caller: &Caller,
    kind: ResourceKind,
    id: &str,
    expect: Expect,
) -> ApiResult<StatusCode> {
    delete_with(api, caller, kind, id, expect, None).await
}

/// Deletes one resource that must be there, and writes another that goes with it.
pub(crate) async fn delete_with(
    api: &Api,
    caller: &Caller,
    kind: ResourceKind,
    id: &str,
    expect: Expect,
    other: Option<ResourceWrite>,
) -> ApiResult<StatusCode> {
    let row = required(api, caller, kind, id).await?;
    caller.may_configure_for(row.customer.as_ref())?;
    // Between the look and the write another caller may delete or change it; the version holds that off.
    let expect = if expect == Expect::Any { Expect::Version(row.version) } else { expect };
    let write = ResourceWrite { kind, customer: row.customer, id: id.to_owned(), body: None, expect };
    write_first(api, caller, write, other).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Writes one row and waits until this node uses it.
pub(crate) async fn write_one(api: &Api, caller: &Caller, write: ResourceWrite) -> ApiResult<ResourceRow> {
    write_first(api, caller, write, None).await
}

async fn write_first(
    api: &Api,
    caller: &Caller,
    write: ResourceWrite,
    other: Option<ResourceWrite>,
) -> ApiResult<ResourceRow> {
    let rows = write_all(api, caller, std::iter::once(write).chain(other).collect()).await?;
    let missing = || ApiError::new(fastn_contract::error::ErrorCode::DbError, "the database returned no row");
    rows.into_iter().next().ok_or_else(missing)
}

/// Writes rows, all or none, and waits until this node uses them.
pub(crate) async fn write_all(api: &Api, caller: &Caller, writes: Vec<ResourceWrite>) -> ApiResult<Vec<ResourceRow>> {
    let rows = api.store.write(&caller.account, writes).await?;
    if let Some(revision) = rows.iter().map(|row| row.revision).max() {
        api.catalog.reaches(revision).await;
    }
    Ok(rows)
}

/// A write of `value`.
pub(crate) fn writing<T: Serialize>(
    kind: ResourceKind,
    customer: Option<CustomerId>,
    id: &str,
    value: &T,
    expect: Expect,
) -> ApiResult<ResourceWrite> {
    let body = serde_json::to_string(value).map_err(|error| ApiError::invalid("body", error.to_string()))?;
    Ok(ResourceWrite { kind, customer, id: id.to_owned(), body: Some(body), expect })
}

/// Refuses a body whose id is not the path's.
pub(crate) fn same_id(part: &str, path: &str, body: &str) -> ApiResult<()> {
    if path == body {
        return Ok(());
    }
    Err(ApiError::invalid(part, format!("is {body:?} in the body and {path:?} in the path; they must be equal")))
}

pub(crate) fn answer<T: DeserializeOwned + Serialize>(status: StatusCode, row: &ResourceRow) -> ApiResult<Response> {
    Ok(answer_with(status, row.version, stored::<T>(row)?))
}

/// A body with its revision in `ETag`.
pub(crate) fn answer_with(status: StatusCode, version: u64, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The kind's name for people.
pub(crate) fn name_of(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::Account => "account",
        ResourceKind::Customer => "customer",
        ResourceKind::Workflow => "workflow",
        ResourceKind::WorkflowVersion => "version",
        ResourceKind::Deployment => "deployment",
        ResourceKind::Trigger => "trigger",
        ResourceKind::Secret => "secret",
        ResourceKind::EnvConfig => "configuration value",
        ResourceKind::AccessKey => "access key",
        ResourceKind::Plan => "plan",
        ResourceKind::CustomerTier => "customer tier",
        ResourceKind::QuotaSettings => "quota settings",
        ResourceKind::LogKey => "data key",
        ResourceKind::Retention => "retention",
        ResourceKind::Replay => "replay",
        ResourceKind::Erasure => "erasure",
        ResourceKind::ScheduleState => "schedule",
        ResourceKind::App => "app",
        ResourceKind::Subscription => "subscription",
        ResourceKind::AlertRule => "alert rule",
    }
}
