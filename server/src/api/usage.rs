//! Usage: what customers used by day, and what is left of their limits now.

use axum::Json;
use axum::extract::State;
use fastn_contract::page::Page;
use fastn_contract::quota::{CurrentUsage, Dimension, Measure, QuotaView, UsageRow};
use fastn_domain::catalog::{AccountCatalog, Catalog};
use fastn_domain::quota::{DAY, Effective, MINUTE, Window};
use fastn_domain::{Reach, Timestamp};
use fastn_store::UsageFilter;
use serde::Deserialize;
use utoipa::IntoParams;

use super::Api;
use super::caller::Caller;
use super::extract::{Params, instant, page};
use super::problem::{ApiError, ApiResult};

/// The query of usage.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageParams {
    /// Only this.
    #[param(inline)]
    measure: Option<Measure>,
    /// From the day that holds this instant, RFC 3339.
    #[param(format = DateTime)]
    since: Option<String>,
    /// To the day that holds this instant, included.
    #[param(format = DateTime)]
    until: Option<String>,
    /// The `nextCursor` of the page before.
    #[param(max_length = 1024)]
    cursor: Option<String>,
    /// Most rows of the page; 50 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// List usage
///
/// By customer, day of UTC and measure, the newest day first; with the customer header, that customer's only. Events count on
/// the day on which they became durable. It is a view of the log, a moment behind it, and kept for 400 days.
#[utoipa::path(get, path = "/v1/usage", operation_id = "listUsage", tag = "Quotas", params(UsageParams),
    responses((status = 200, description = "A page", body = Page<UsageRow>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<UsageParams>,
) -> ApiResult<Json<Page<UsageRow>>> {
    let filter = UsageFilter {
        customer: None,
        measure: params.measure,
        since: instant("since", params.since.as_deref())?,
        until: instant("until", params.until.as_deref())?,
    };
    let page = page(params.cursor, params.limit)?;
    Ok(Json(api.store.usage(&caller.reach(), &filter, &page).await?))
}

/// Get what is left
///
/// Every dimension of the customer in the header, or without one of the account itself: the limit, where it comes from, what
/// is used of its present window, and what is left. What is enforced and not measured has no `used`.
#[utoipa::path(get, path = "/v1/usage/current", operation_id = "getCurrentUsage", tag = "Quotas",
    responses((status = 200, description = "Every dimension", body = CurrentUsage)))]
pub(crate) async fn current(State(api): State<Api>, caller: Caller) -> ApiResult<Json<CurrentUsage>> {
    let catalog = api.catalog.current();
    let empty = std::sync::Arc::new(AccountCatalog::default());
    let account = catalog.account(&caller.account).unwrap_or(&empty);
    let reach = caller.reach();
    let customer = match reach.customer() {
        Some(id) => {
            let found = account.customers.get(id);
            Some(found.ok_or_else(|| ApiError::not_found("customer", id.as_str()))?.as_ref())
        }
        None => None,
    };
    let now = api.clock.now();
    let mut quotas = Vec::with_capacity(Dimension::ALL.len());
    for dimension in Dimension::ALL {
        // Of what is limited in number customers have limits, and the account itself has none.
        let limit = account.limit(customer, dimension).filter(|_| customer.is_some() || !is_held(dimension));
        let used = used(&api, &catalog, &reach, dimension, now).await?;
        quotas.push(view(dimension, limit, used, now));
    }
    Ok(Json(CurrentUsage {
        customer: customer.map(|customer| customer.id.clone()),
        plan: account.plan_id().to_owned(),
        tier: customer.and_then(|customer| customer.tier.clone()),
        quotas,
    }))
}

fn is_held(dimension: Dimension) -> bool {
    matches!(dimension, Dimension::Workflows | Dimension::Triggers)
}

fn view(dimension: Dimension, limit: Option<Effective>, used: Option<u64>, now: Timestamp) -> QuotaView {
    QuotaView {
        dimension,
        limit: limit.map(|limit| limit.limit),
        mode: limit.map(|limit| limit.mode),
        source: limit.map(|limit| limit.source),
        used,
        left: limit.and_then(|limit| Some(limit.limit.saturating_sub(used?))),
        resets_at: window(dimension, now).map(|window| window.end.to_string()),
    }
}

fn window(dimension: Dimension, now: Timestamp) -> Option<Window> {
    match dimension {
        Dimension::EventsPerMinute | Dimension::ApiCallsPerMinute => Some(Window::at(now, MINUTE)),
        Dimension::EventsPerDay | Dimension::ApiCallsPerDay => Some(Window::at(now, DAY)),
        _ => None,
    }
}

/// What is used of the present window.
async fn used(
    api: &Api,
    catalog: &Catalog,
    reach: &Reach,
    dimension: Dimension,
    now: Timestamp,
) -> ApiResult<Option<u64>> {
    let account = catalog.account(reach.account());
    Ok(match dimension {
        Dimension::EventsPerDay => Some(of_day(api, reach, Measure::Events, now).await?),
        Dimension::EventsPerMinute => Some(api.store.events_since(reach, Window::at(now, MINUTE).start).await?),
        Dimension::ApiCallsPerDay => Some(api.limits.calls_of_day(api.store.as_ref(), reach, now).await?),
        Dimension::Workflows => account.map(|account| match reach.customer() {
            Some(customer) => account.workflows_of(customer, None).len() as u64,
            None => account.workflows.len() as u64,
        }),
        Dimension::Triggers => account.map(|account| match reach.customer() {
            Some(customer) => account.triggers_of(customer),
            None => account.triggers.len() as u64,
        }),
        Dimension::ApiCallsPerMinute
        | Dimension::ConcurrentExecutions
        | Dimension::StepsPerExecution
        | Dimension::PayloadBytes => None,
    })
}

async fn of_day(api: &Api, reach: &Reach, measure: Measure, now: Timestamp) -> ApiResult<u64> {
    let filter = UsageFilter { customer: None, measure: Some(measure), since: Some(now), until: Some(now) };
    let mut page = fastn_store::PageRequest { cursor: None, limit: 1_000 };
    let mut used = 0;
    loop {
        let found = api.store.usage(reach, &filter, &page).await?;
        used += found.items.iter().map(|row| row.used).sum::<u64>();
        page.cursor = found.next_cursor;
        if page.cursor.is_none() {
            return Ok(used);
        }
    }
}
