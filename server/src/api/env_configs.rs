//! Configuration values that workflows read with `fastn.envConfig.get`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use fastn_contract::page::Page;
use fastn_contract::resource::{EnvConfig, Stored};
use fastn_domain::EnvironmentId;
use fastn_domain::catalog::ResourceKind;

use super::Api;
use super::caller::Caller;
use super::extract::{Body, Params, PathParts, Precondition, checked};
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

const KIND: ResourceKind = ResourceKind::EnvConfig;
/// Longest key.
const KEY_BYTES_MAX: usize = 128;

/// List configuration values
#[utoipa::path(get, path = "/v1/env-configs", operation_id = "listEnvConfigs", tag = "Environment configuration",
    params(ListParams), responses((status = 200, description = "A page", body = Page<Stored<EnvConfig>>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<Stored<EnvConfig>>>> {
    resources::list(&api, &caller, KIND, params).await
}

/// Set a configuration value
#[utoipa::path(put, path = "/v1/env-configs/{environment}/{key}", operation_id = "putEnvConfig",
    tag = "Environment configuration",
    params(("environment" = String, Path, description = "The environment"), ("key" = String, Path, description = "The key")),
    request_body = EnvConfig,
    responses((status = 200, description = "Changed", body = Stored<EnvConfig>),
        (status = 201, description = "Created", body = Stored<EnvConfig>)))]
pub(crate) async fn put(
    State(api): State<Api>,
    caller: Caller,
    PathParts((environment, key)): PathParts<(String, String)>,
    Precondition(expect): Precondition,
    Body(config): Body<EnvConfig>,
) -> ApiResult<Response> {
    let id = row_id(&environment, &key)?;
    resources::same_id("environment", &environment, &config.environment)?;
    resources::same_id("key", &key, &config.key)?;
    let write = resources::writing(KIND, None, &id, &config, expect)?;
    resources::put::<EnvConfig>(&api, &caller, write).await
}

/// Delete a configuration value
#[utoipa::path(delete, path = "/v1/env-configs/{environment}/{key}", operation_id = "deleteEnvConfig",
    tag = "Environment configuration",
    params(("environment" = String, Path, description = "The environment"), ("key" = String, Path, description = "The key")),
    responses((status = 204, description = "Deleted")))]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    PathParts((environment, key)): PathParts<(String, String)>,
    Precondition(expect): Precondition,
) -> ApiResult<StatusCode> {
    let id = row_id(&environment, &key)?;
    resources::delete(&api, &caller, KIND, &id, expect).await
}

fn row_id(environment: &str, key: &str) -> ApiResult<String> {
    checked("environment", EnvironmentId::new(environment))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:@".contains(&byte);
    if key.is_empty() || key.len() > KEY_BYTES_MAX || !key.bytes().all(plain) {
        let message = format!("must be 1 to {KEY_BYTES_MAX} characters of letters, digits and - _ . : @");
        return Err(ApiError::invalid("key", message));
    }
    Ok(format!("{environment}/{key}"))
}
