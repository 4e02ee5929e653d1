//! Versions of a workflow's code: published once, never changed.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fastn_contract::command::PublishVersion;
use fastn_contract::error::{ErrorCode, FieldError, Problem};
use fastn_contract::page::Page;
use fastn_contract::resource::{VersionView, WorkflowVersion};
use fastn_domain::WorkflowId;
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_store::{Expect, PageRequest, StoreErrorKind};

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::WorkflowVersion;
/// Largest source of one workflow.
const SOURCE_BYTES_MAX: usize = 1024 * 1024;
/// Times that a publish tries the next number when another publisher took it first.
const PUBLISH_TRIES_MAX: u32 = 8;
/// Longest file name.
const FILE_BYTES_MAX: usize = 255;

/// List versions
///
/// Newest first, without their source.
#[utoipa::path(get, path = "/v1/workflows/{id}/versions", operation_id = "listVersions", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id"), ListParams),
    responses((status = 200, description = "A page", body = Page<VersionView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<VersionView>>> {
    let workflow = checked("id", WorkflowId::new(&id))?;
    resources::required(&api, &caller, ResourceKind::Workflow, &id).await?;
    let PageRequest { cursor, limit } = params.page()?;
    let before = match cursor.as_deref() {
        None => u32::MAX,
        Some(cursor) => cursor.parse().map_err(|_| ApiError::invalid("cursor", "was not made by this list"))?,
    };
    let catalog = api.catalog.current();
    let versions = catalog.account(&caller.account).and_then(|account| account.workflows.get(&workflow));
    let numbers: Vec<u32> = versions
        .map(|entry| entry.versions.keys().rev().copied().filter(|version| *version < before))
        .into_iter()
        .flatten()
        .take(limit as usize + 1)
        .collect();
    let more = numbers.len() > limit as usize;
    let mut items = Vec::with_capacity(numbers.len());
    for version in numbers.iter().take(limit as usize) {
        if let Some(row) = api.store.resource(&caller.reach(), KIND, &row_id(&id, *version)).await? {
            items.push(view(&row, false)?);
        }
    }
    let next_cursor = more.then(|| numbers[limit as usize - 1].to_string());
    Ok(Json(Page { items, next_cursor }))
}

/// Get a version
///
/// With its source.
#[utoipa::path(get, path = "/v1/workflows/{id}/versions/{version}", operation_id = "getVersion", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id"), ("version" = u32, Path, description = "1, 2, …")),
    responses((status = 200, description = "The version", body = VersionView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts((id, version)): PathParts<(String, u32)>,
) -> ApiResult<Json<VersionView>> {
    checked("id", WorkflowId::new(&id))?;
    let row = resources::required(&api, &caller, KIND, &row_id(&id, version)).await?;
    view(&row, true).map(Json)
}

/// Publish a version
///
/// The code is compiled first; code that does not parse is refused with its line and column. Publishing the newest
/// version's code again returns that version. A workflow that does not exist yet is created with default settings.
#[utoipa::path(post, path = "/v1/workflows/{id}/versions", operation_id = "publishVersion", tag = "Workflows",
    params(("id" = String, Path, description = "The workflow's id")), request_body = PublishVersion,
    responses((status = 200, description = "This code is the newest version already", body = VersionView),
        (status = 201, description = "Published", body = VersionView),
        (status = 422, description = "The code does not compile", body = Problem,
            content_type = "application/problem+json")))]
pub(crate) async fn publish(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Body(request): Body<PublishVersion>,
) -> ApiResult<Response> {
    let workflow = checked("id", WorkflowId::new(&id))?;
    let file = request.file.unwrap_or_else(|| format!("{id}.ts"));
    if file.is_empty() || file.len() > FILE_BYTES_MAX || file.chars().any(char::is_control) {
        return Err(ApiError::invalid("file", format!("must be 1 to {FILE_BYTES_MAX} bytes of plain text")));
    }
    if request.source.len() > SOURCE_BYTES_MAX {
        let detail = format!("the source is larger than {SOURCE_BYTES_MAX} bytes");
        return Err(ApiError::new(ErrorCode::PayloadTooLarge, detail));
    }
    let source_hash = blake3::hash(request.source.as_bytes()).to_hex().to_string();
    if let Some(row) = newest(&api, &caller, &workflow).await?
        && resources::body::<WorkflowVersion>(&row)?.source_hash == source_hash
    {
        return Ok(Json(view(&row, false)?).into_response());
    }
    compile(&api, &request.source, &file).await?;
    let draft = WorkflowVersion { workflow: id, version: 0, source: request.source, file, source_hash };
    let row = publish_next(&api, &caller, &workflow, draft).await?;
    Ok((StatusCode::CREATED, Json(view(&row, false)?)).into_response())
}

async fn compile(api: &Api, source: &str, file: &str) -> ApiResult<()> {
    let (check, source, name) = (api.compile.clone(), source.to_owned(), file.to_owned());
    let checked = tokio::task::spawn_blocking(move || check(&source, &name)).await;
    let failed = |_| ApiError::new(ErrorCode::InternalError, "the compiler failed; the server's log says why");
    checked.map_err(failed)?.map_err(|error| {
        let place =
            if error.line > 0 { format!("{file}:{}:{}: ", error.line, error.column) } else { format!("{file}: ") };
        let mut refusal = ApiError::new(ErrorCode::WorkflowInvalid, format!("{place}{}", error.message));
        let mut errors = vec![FieldError { path: "source".to_owned(), message: error.message }];
        for (path, value) in [("source.line", error.line), ("source.column", error.column)] {
            if value > 0 {
                errors.push(FieldError { path: path.to_owned(), message: value.to_string() });
            }
        }
        refusal.0.errors = errors;
        refusal
    })
}

/// The newest version, as the store has it. The catalog may be a moment behind, so the rows above it are tried too.
async fn newest(api: &Api, caller: &Caller, workflow: &WorkflowId) -> ApiResult<Option<ResourceRow>> {
    let known =
        api.catalog.current().account(&caller.account).and_then(|account| {
            account.workflows.get(workflow)?.versions.last_key_value().map(|(version, _)| *version)
        });
    let mut newest = None;
    for version in known.unwrap_or(1).. {
        match api.store.resource(&caller.reach(), KIND, &row_id(workflow.as_str(), version)).await? {
            Some(row) => newest = Some(row),
            None => break,
        }
    }
    Ok(newest)
}

async fn publish_next(
    api: &Api,
    caller: &Caller,
    workflow: &WorkflowId,
    mut draft: WorkflowVersion,
) -> ApiResult<ResourceRow> {
    for _ in 0..PUBLISH_TRIES_MAX {
        let known = newest(api, caller, workflow).await?;
        draft.version = match &known {
            Some(row) => resources::body::<WorkflowVersion>(row)?.version + 1,
            None => 1,
        };
        let id = row_id(workflow.as_str(), draft.version);
        let mut writes = vec![resources::writing(KIND, None, &id, &draft, Expect::New)?];
        if api.store.resource(&caller.reach(), ResourceKind::Workflow, workflow.as_str()).await?.is_none() {
            let settings = serde_json::json!({ "id": workflow.as_str() });
            let kind = ResourceKind::Workflow;
            writes.push(resources::writing(kind, None, workflow.as_str(), &settings, Expect::New)?);
        }
        match api.store.write(&caller.account, writes).await {
            Ok(rows) => {
                api.catalog.reaches(rows.iter().map(|row| row.revision).max().unwrap_or(0)).await;
                let row = rows.into_iter().find(|row| row.kind == KIND);
                return row.ok_or_else(|| ApiError::new(ErrorCode::DbError, "the database returned no row"));
            }
            Err(error) if error.kind == StoreErrorKind::Conflict => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(ApiError::new(ErrorCode::Conflict, format!("others publish {workflow} at this moment; try again")))
}

/// The row's id.
pub(crate) fn row_id(workflow: &str, version: u32) -> String {
    format!("{workflow}@{version}")
}

fn view(row: &ResourceRow, with_source: bool) -> ApiResult<VersionView> {
    let version: WorkflowVersion = resources::body(row)?;
    Ok(VersionView {
        workflow: version.workflow,
        version: version.version,
        file: version.file,
        source_hash: version.source_hash,
        created_at: row.created.to_string(),
        source: with_source.then_some(version.source),
    })
}
