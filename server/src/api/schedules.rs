//! Schedules: triggers that fire by the clock. How they stand, runs by hand, backfills, pause and resume.
//!
//! What fires when is the trigger's; it is written as any other trigger. Beside it the platform remembers a status history
//! and a count of failures (`ScheduleState`), which is written together with the trigger whose status it tells of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use fastn_contract::activity::Origin;
use fastn_contract::error::ErrorCode;
use fastn_contract::page::Page;
use fastn_contract::resource::{Switch, Trigger, TriggerSource};
use fastn_contract::schedule::{BACKFILL_EVENTS_MAX, BackfillSchedule, ChangeStatus, ScheduleFired, ScheduleView};
use fastn_domain::catalog::{AccountCatalog, Catalog, CompiledTrigger, ResourceKind};
use fastn_domain::event::EventRecord;
use fastn_domain::partition::partition_of;
use fastn_domain::schedule::{self, ScheduleState};
use fastn_domain::{CustomerId, EventId, Reach, Scope, Timestamp, TriggerId};
use fastn_log::{Record, Topic, event_record_at};
use fastn_store::{Expect, ResourceWrite};
use futures_util::StreamExt as _;

use super::Api;
use super::caller::Caller;
use super::commands;
use super::extract::{Body, Params, PathParts, checked, instant};
use super::idempotency::IdempotencyKey;
use super::problem::{ApiError, ApiResult};
use super::resources::{self, ListParams};

/// Scheduled times that one schedule shows.
const UPCOMING: usize = 5;
/// Reads under way at once for one page.
const READS_AT_ONCE: usize = 8;
/// Longest reason of a change of status, in characters.
const REASON_CHARS_MAX: usize = 500;

/// List schedules
///
/// Triggers that fire by the clock, by id, with their next and last runs and failures.
#[utoipa::path(get, path = "/v1/schedules", operation_id = "listSchedules", tag = "Schedules", params(ListParams),
    responses((status = 200, description = "A page", body = Page<ScheduleView>)))]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    Params(params): Params<ListParams>,
) -> ApiResult<Json<Page<ScheduleView>>> {
    let page = params.page()?;
    if page.cursor.as_deref().is_some_and(|cursor| TriggerId::new(cursor).is_err()) {
        return Err(ApiError::invalid("cursor", "this cursor was not made by this list"));
    }
    let catalog = api.catalog.current();
    let Some(account) = catalog.account(&caller.account) else {
        return Ok(Json(Page { items: Vec::new(), next_cursor: None }));
    };
    let reach = caller.reach();
    let mut found: Vec<&Arc<CompiledTrigger>> = account
        .triggers
        .values()
        .filter(|trigger| trigger.ticks.is_some() && within(&reach, trigger))
        .filter(|trigger| page.cursor.as_deref().is_none_or(|after| trigger.id.as_str() > after))
        .collect();
    let limit = page.limit as usize;
    let more = found.len() > limit;
    if more {
        found.select_nth_unstable_by(limit, |a, b| a.id.cmp(&b.id));
        found.truncate(limit);
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    let views: Vec<_> = found.iter().map(|trigger| view(&api, &reach, account, trigger)).collect();
    let rows: Vec<ApiResult<ScheduleView>> = futures_util::stream::iter(views).buffered(READS_AT_ONCE).collect().await;
    let items = rows.into_iter().collect::<ApiResult<Vec<_>>>()?;
    let next_cursor = items.last().filter(|_| more).map(|last| last.id.clone());
    Ok(Json(Page { items, next_cursor }))
}

/// Get a schedule
///
/// With the next scheduled times and the last 20 changes of its status; changes by the platform are marked.
#[utoipa::path(get, path = "/v1/schedules/{id}", operation_id = "getSchedule", tag = "Schedules",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 200, description = "The schedule", body = ScheduleView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<ScheduleView>> {
    whole(&api, &caller, &id).await.map(Json)
}

/// Run a schedule now
///
/// Makes one event beside those of the clock, for the customer named in the header or for every customer that the
/// schedule fires for. The time of its next fire does not change. Runs by hand do not count as failures in a row.
#[utoipa::path(post, path = "/v1/schedules/{id}/run", operation_id = "runSchedule", tag = "Schedules",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 202, description = "The events are durable", body = ScheduleFired)))]
pub(crate) async fn run(
    State(api): State<Api>,
    caller: Caller,
    key: Option<Extension<IdempotencyKey>>,
    PathParts(id): PathParts<String>,
) -> ApiResult<(StatusCode, Json<ScheduleFired>)> {
    let catalog = api.catalog.current();
    let trigger = enabled(&catalog, &caller, &id)?;
    let what = format!("{}/{}/{id}", caller.account, caller.reach().customer().map_or("", CustomerId::as_str));
    let request = commands::request_id_of("run", &what, key.as_deref());
    let id = schedule::run_id(&trigger.id, &request);
    let now = api.clock.now();
    let mut events = Vec::new();
    for scope in scopes(&api, &catalog, &caller, trigger)? {
        events.push(event_of(trigger, scope, &id, now, Origin::Manual)?);
    }
    let answer = ScheduleFired { event_ids: vec![id], events: events.len() as u32, already_there: 0 };
    append(&api, &catalog, &events).await?;
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Backfill a schedule
///
/// Makes the events of all scheduled times at `from` and after it, before `to`, that are not there: at most 1,000. What
/// the clock or a backfill has made before is not made again, as long as activity shows it. Jitter and delay do not
/// apply. Where the overlap policy is not to allow overlap, the runs take turns.
#[utoipa::path(post, path = "/v1/schedules/{id}/backfill", operation_id = "backfillSchedule", tag = "Schedules",
    params(("id" = String, Path, description = "The trigger's id")), request_body = BackfillSchedule,
    responses((status = 202, description = "The events are durable", body = ScheduleFired)))]
pub(crate) async fn backfill(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    Body(range): Body<BackfillSchedule>,
) -> ApiResult<(StatusCode, Json<ScheduleFired>)> {
    let catalog = api.catalog.current();
    let trigger = enabled(&catalog, &caller, &id)?;
    let ends = |part, text: &str| instant(part, Some(text)).map(Option::unwrap_or_default);
    let (from, to) = (ends("from", &range.from)?, ends("to", &range.to)?);
    if to <= from || to > api.clock.now() {
        return Err(ApiError::invalid("to", "must be after from, and not in the future"));
    }
    let scopes = scopes(&api, &catalog, &caller, trigger)?;
    let times =
        trigger.ticks.as_ref().map(|ticks| ticks.between(from, to, BACKFILL_EVENTS_MAX + 1)).unwrap_or_default();
    if times.len() * scopes.len() > BACKFILL_EVENTS_MAX {
        let message = format!(
            "these are more than {BACKFILL_EVENTS_MAX} events, of {} customers; ask for a shorter time, or one customer",
            scopes.len()
        );
        return Err(ApiError::invalid("to", message));
    }
    let mut ids = Vec::with_capacity(times.len());
    for at in &times {
        ids.push(commands::event_id(&schedule::fire_id(&trigger.id, *at))?);
    }
    let known: HashSet<(CustomerId, EventId)> =
        api.store.known_fires(&caller.reach(), &ids).await?.into_iter().collect();
    let mut events = Vec::new();
    for (id, at) in ids.iter().zip(&times) {
        for scope in scopes.iter().filter(|scope| !known.contains(&(scope.customer.clone(), id.clone()))) {
            let event = event_of(trigger, scope.clone(), id.as_str(), *at, Origin::Schedule)?;
            events.push(EventRecord { subject: Some(schedule::BACKFILL.to_owned()), ..event });
        }
    }
    let made: HashSet<&EventId> = events.iter().map(|event| &event.id).collect();
    let event_ids = ids.iter().filter(|id| made.contains(id)).map(ToString::to_string).collect();
    let already_there = times.len() * scopes.len() - events.len();
    let answer = ScheduleFired { event_ids, events: events.len() as u32, already_there: already_there as u32 };
    if !range.dry_run {
        append(&api, &catalog, &events).await?;
    }
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Pause a schedule
///
/// It does not fire until it is resumed. Runs that it has started go on.
#[utoipa::path(post, path = "/v1/schedules/{id}/pause", operation_id = "pauseSchedule", tag = "Schedules",
    params(("id" = String, Path, description = "The trigger's id")), request_body = Option<ChangeStatus>,
    responses((status = 200, description = "The schedule", body = ScheduleView)))]
pub(crate) async fn pause(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    body: Option<Body<ChangeStatus>>,
) -> ApiResult<Json<ScheduleView>> {
    switch(&api, &caller, &id, Switch::Disabled, body).await
}

/// Resume a schedule
///
/// It fires again from now on; what it would have fired while it was paused is left out. Failures in a row are counted
/// from zero, and a cooldown ends.
#[utoipa::path(post, path = "/v1/schedules/{id}/resume", operation_id = "resumeSchedule", tag = "Schedules",
    params(("id" = String, Path, description = "The trigger's id")), request_body = Option<ChangeStatus>,
    responses((status = 200, description = "The schedule", body = ScheduleView)))]
pub(crate) async fn resume(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    body: Option<Body<ChangeStatus>>,
) -> ApiResult<Json<ScheduleView>> {
    switch(&api, &caller, &id, Switch::Enabled, body).await
}

async fn switch(
    api: &Api,
    caller: &Caller,
    id: &str,
    status: Switch,
    body: Option<Body<ChangeStatus>>,
) -> ApiResult<Json<ScheduleView>> {
    let reason = body.map(|Body(change)| change.reason).unwrap_or_default();
    if reason.chars().count() > REASON_CHARS_MAX {
        return Err(ApiError::invalid("reason", format!("must be at most {REASON_CHARS_MAX} characters")));
    }
    let customer = found(&api.catalog.current(), caller, id)?.customer.clone();
    caller.may_configure_for(customer.as_ref())?;
    let row = resources::required(api, caller, ResourceKind::Trigger, id).await?;
    let mut trigger: Trigger = resources::body(&row)?;
    let (state, version) = remembered(api, caller, id).await?;
    if trigger.status != status || state.until.is_some() {
        trigger.status = status;
        let expect = Expect::Version(row.version);
        let write = resources::writing(ResourceKind::Trigger, row.customer, id, &trigger, expect)?;
        let next = state.switched(status, &reason, api.clock.now());
        resources::write_all(api, caller, vec![write, state_write(id, &next, version)?]).await?;
    }
    whole(api, caller, id).await.map(Json)
}

/// The change that a write of a trigger makes to its status history, if it is a schedule whose status changes.
pub(super) async fn told_by_write(
    api: &Api,
    caller: &Caller,
    before: Option<&Trigger>,
    trigger: &Trigger,
) -> ApiResult<Option<ResourceWrite>> {
    let changes = before.is_some_and(|before| before.status != trigger.status);
    if !changes || !matches!(trigger.source, TriggerSource::Schedule(_)) {
        return Ok(None);
    }
    let (state, version) = remembered(api, caller, &trigger.id).await?;
    let next = state.switched(trigger.status, "the trigger was written", api.clock.now());
    state_write(&trigger.id, &next, version).map(Some)
}

/// The deletion of what is remembered beside a trigger, if something is.
pub(super) async fn forgotten(api: &Api, caller: &Caller, id: &str) -> ApiResult<Option<ResourceWrite>> {
    let (_, version) = remembered(api, caller, id).await?;
    let delete = |version| ResourceWrite {
        kind: ResourceKind::ScheduleState,
        customer: None,
        id: id.to_owned(),
        body: None,
        expect: Expect::Version(version),
    };
    Ok(version.map(delete))
}

async fn remembered(api: &Api, caller: &Caller, id: &str) -> ApiResult<(ScheduleState, Option<u64>)> {
    let row = api.store.resource(&Reach::Account(caller.account.clone()), ResourceKind::ScheduleState, id).await?;
    match row {
        Some(row) => Ok((resources::body(&row)?, Some(row.version))),
        None => Ok(Default::default()),
    }
}

fn state_write(id: &str, state: &ScheduleState, version: Option<u64>) -> ApiResult<ResourceWrite> {
    let expect = version.map_or(Expect::New, Expect::Version);
    resources::writing(ResourceKind::ScheduleState, None, id, state, expect)
}

fn within(reach: &Reach, trigger: &CompiledTrigger) -> bool {
    match (reach.customer(), &trigger.customer) {
        (Some(own), Some(customer)) => own == customer,
        _ => true,
    }
}

/// The schedule, if it is within reach.
fn found<'c>(catalog: &'c Catalog, caller: &Caller, id: &str) -> ApiResult<&'c Arc<CompiledTrigger>> {
    let wanted = checked("id", TriggerId::new(id))?;
    let trigger = catalog.account(&caller.account).and_then(|account| account.triggers.get(&wanted));
    trigger
        .filter(|trigger| trigger.ticks.is_some() && within(&caller.reach(), trigger))
        .ok_or_else(|| ApiError::not_found("schedule", id))
}

/// The schedule, if it is within reach and may fire.
fn enabled<'c>(catalog: &'c Catalog, caller: &Caller, id: &str) -> ApiResult<&'c Arc<CompiledTrigger>> {
    let trigger = found(catalog, caller, id)?;
    if trigger.spec.status == Switch::Disabled {
        return Err(ApiError::new(ErrorCode::Conflict, format!("schedule {id} is paused; resume it to run it")));
    }
    Ok(trigger)
}

/// The customers that it fires for, within the caller's reach.
fn scopes(api: &Api, catalog: &Catalog, caller: &Caller, trigger: &CompiledTrigger) -> ApiResult<Vec<Scope>> {
    let reach = caller.reach();
    let mut scopes = match trigger.customer.as_ref().or_else(|| reach.customer()) {
        Some(customer) => vec![Scope::new(caller.account.clone(), customer.clone())],
        None => {
            let customers = catalog.account(&caller.account).into_iter().flat_map(|account| account.customers.keys());
            customers.map(|customer| Scope::new(caller.account.clone(), customer.clone())).collect()
        }
    };
    scopes.retain(|scope| catalog.is_active(scope) && api.residency.check(catalog, scope).is_ok());
    if scopes.is_empty() {
        let detail = format!("schedule {} fires for no customer that exists and is active", trigger.id);
        return Err(ApiError::new(ErrorCode::Conflict, detail));
    }
    scopes.sort();
    Ok(scopes)
}

fn event_of(
    trigger: &CompiledTrigger,
    scope: Scope,
    id: &str,
    at: Timestamp,
    origin: Origin,
) -> ApiResult<EventRecord> {
    schedule::event(trigger, scope, id, at, origin)
        .map_err(|error| ApiError::new(ErrorCode::InternalError, error.to_string()))
}

/// Makes the events durable, each customer's in their order. After a failure some may be there: the ids are the same when
/// the request is repeated.
async fn append(api: &Api, catalog: &Catalog, events: &[EventRecord]) -> ApiResult<()> {
    let mut by_partition: HashMap<u32, Vec<Record>> = HashMap::new();
    for event in events {
        let partition = partition_of(&event.scope, api.log.partitions());
        by_partition.entry(partition).or_default().push(event_record_at(event, catalog.revision));
    }
    for (partition, records) in by_partition {
        api.log.append(Topic::Events, partition, records).await?;
    }
    Ok(())
}

async fn view(
    api: &Api,
    reach: &Reach,
    account: &AccountCatalog,
    trigger: &CompiledTrigger,
) -> ApiResult<ScheduleView> {
    let (TriggerSource::Schedule(spec), Some(ticks)) = (&trigger.spec.source, &trigger.ticks) else {
        return Err(ApiError::not_found("schedule", trigger.id.as_str()));
    };
    let state = account.schedules.get(&trigger.id);
    let fires = trigger.spec.status == Switch::Enabled;
    let next = ticks.next_due(api.clock.now()).filter(|_| fires);
    // Nothing is admitted later than that: only the newest run is looked for.
    let runs = api.store.schedule_runs(reach, &trigger.id, Timestamp(i64::MAX), "").await?;
    Ok(ScheduleView {
        id: trigger.id.to_string(),
        name: trigger.spec.name.clone(),
        customer: trigger.customer.as_ref().map(ToString::to_string),
        status: trigger.spec.status,
        when: spec.when.clone(),
        cron: ticks.cron().map(str::to_owned),
        timezone: spec.timezone.clone(),
        next_run: next.map(|fire| fire.due.to_string()),
        last_run: runs.last.map(|(at, _)| at.to_string()),
        last_status: runs.last.map(|(_, status)| status),
        failures: state.map_or(0, |state| state.failures),
        disabled_until: state.and_then(|state| state.until).map(|until| until.to_string()),
        upcoming: Vec::new(),
        history: Vec::new(),
    })
}

/// A schedule with everything, as the store and this node's newest configuration have it.
async fn whole(api: &Api, caller: &Caller, id: &str) -> ApiResult<ScheduleView> {
    let catalog = api.catalog.current();
    let trigger = found(&catalog, caller, id)?;
    let account = catalog.account(&caller.account).ok_or_else(|| ApiError::not_found("schedule", id))?;
    let mut view = view(api, &caller.reach(), account, trigger).await?;
    let (state, _) = remembered(api, caller, id).await?;
    view.failures = state.failures;
    view.disabled_until = state.until.map(|until| until.to_string());
    view.history = state.history;
    if let (Some(ticks), true) = (&trigger.ticks, view.next_run.is_some()) {
        let all = std::iter::successors(ticks.next(api.clock.now()), |fire| ticks.next(fire.at));
        view.upcoming = all.take(UPCOMING).map(|fire| fire.at.to_string()).collect();
    }
    Ok(view)
}
