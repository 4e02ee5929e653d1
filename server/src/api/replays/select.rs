//! What a replay selects, page by page, newest first. The same selection gives the same items in the same order, however
//! often it is walked: only what was there when the replay was asked for counts, and what its own work changes (a dead
//! letter that becomes replayed) does not take an item out.

use std::collections::HashSet;

use fastn_contract::activity::{
    DeadLetterStatus, DeadLetterView, EventStatus, EventView, ExecutionError, ExecutionView,
};
use fastn_contract::command::ReplayFrom;
use fastn_contract::page::PAGE_LIMIT_MAX;
use fastn_contract::quota::QuotaOutcome;
use fastn_contract::replay::{
    REPLAY_IDS_MAX, REPLAY_ITEMS_MAX, REPLAY_RATE_DEFAULT, REPLAY_RATE_MAX, ReplaySelection, StartReplay,
};
use fastn_domain::route::replay_execution;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{AccountId, EventId, ExecutionId, Reach, Scope, Timestamp};
use fastn_store::{EventFilter, ExecutionFilter, PageRequest, Store, StoreResult};

use super::build::{repeated_event, request_of};
use crate::api::extract::{checked, instant};
use crate::api::problem::{ApiError, ApiResult};

/// One that is selected.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// Of the execution or event, as the API shows it.
    pub(super) id: String,
    pub(super) scope: Scope,
    pub(super) what: What,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum What {
    Execution(ExecutionId),
    Event(EventId),
    /// One that a quota refused, and that leaves nothing behind: it comes again under its own id.
    Blocked(EventId),
    /// It was named and cannot be replayed, for this reason.
    Refused(String),
}

impl Item {
    /// The execution that replays it for `job`.
    pub(super) fn replayed_as(&self, job: &str, of: ExecutionId) -> ExecutionId {
        replay_execution(&self.scope, of, &request_of(job, of))
    }

    /// The event that repeats it for `job`: the command, or the event itself again.
    pub(super) fn appended_as(&self, job: &str) -> Option<EventId> {
        match &self.what {
            What::Execution(of) => EventId::new(&request_of(job, *of)).ok(),
            What::Event(of) => repeated_event(job, self.scope.customer.as_str(), of.as_str()),
            What::Blocked(of) => Some(of.clone()),
            What::Refused(_) => None,
        }
    }
}

/// Items, and where to go on; nothing once the end is reached.
#[derive(Debug, Default)]
pub(super) struct Items {
    pub(super) items: Vec<Item>,
    pub(super) next: Option<String>,
}

/// A request with everything in it checked.
#[derive(Clone, Debug)]
pub(super) struct Selection {
    job: String,
    reach: Reach,
    request: StartReplay,
    since: Option<Timestamp>,
    until: Timestamp,
}

impl Selection {
    /// Checks `request`, for rows within `reach` from before `created`.
    pub(super) fn of(job: &str, reach: Reach, request: &StartReplay, created: Timestamp) -> ApiResult<Self> {
        let rate = request.rate_per_second.unwrap_or(REPLAY_RATE_DEFAULT);
        if rate == 0 || rate > REPLAY_RATE_MAX {
            return Err(ApiError::invalid("ratePerSecond", format!("must be 1 to {REPLAY_RATE_MAX}")));
        }
        if request.limit.is_some_and(|limit| limit == 0 || limit > REPLAY_ITEMS_MAX) {
            return Err(ApiError::invalid("limit", format!("must be 1 to {REPLAY_ITEMS_MAX}")));
        }
        let (ids, since, until) = match &request.select {
            ReplaySelection::Executions { ids, since, until, .. }
            | ReplaySelection::DeadLetters { ids, since, until, .. } => (ids, since, until),
            ReplaySelection::Events { ids, since, until, .. } => {
                if request.from != ReplayFrom::Start || request.version.is_some() {
                    let message = "events run from the start, on what is deployed; leave `from` and `version` out";
                    return Err(ApiError::invalid("select.of", message));
                }
                (ids, since, until)
            }
        };
        if ids.as_ref().is_some_and(|ids| ids.is_empty() || ids.len() > REPLAY_IDS_MAX) {
            return Err(ApiError::invalid("select.ids", format!("name 1 to {REPLAY_IDS_MAX} of them")));
        }
        let since = instant("select.since", since.as_deref())?;
        let until = instant("select.until", until.as_deref())?.map_or(created, |until| until.min(created));
        Ok(Self { job: job.to_owned(), reach: reach.clone(), request: request.clone(), since, until })
    }

    /// Most items.
    pub(super) fn limit(&self) -> u64 {
        self.request.limit.unwrap_or(REPLAY_ITEMS_MAX)
    }

    /// A page of at most `rows` rows, of which those that are selected. `cursor` is one that a page before gave.
    pub(super) async fn page(&self, store: &dyn Store, cursor: Option<String>, rows: u32) -> StoreResult<Items> {
        let ids = match &self.request.select {
            ReplaySelection::Executions { ids, .. }
            | ReplaySelection::DeadLetters { ids, .. }
            | ReplaySelection::Events { ids, .. } => ids,
        };
        if let Some(ids) = ids {
            return self.named(store, ids, cursor, rows).await;
        }
        let page = PageRequest { cursor, limit: rows.min(PAGE_LIMIT_MAX) };
        match &self.request.select {
            ReplaySelection::Executions { status, workflow, trigger, .. } => {
                let filter = ExecutionFilter {
                    status: *status,
                    workflow: workflow.clone(),
                    trigger: trigger.clone(),
                    event_id: None,
                    since: self.since,
                    until: Some(self.until),
                };
                let page = store.executions(&self.reach, &filter, &page).await?;
                let chosen = page.items.iter().filter(|view| self.takes_execution(view));
                Ok(Items { items: chosen.filter_map(|view| self.execution(view)).collect(), next: page.next_cursor })
            }
            ReplaySelection::DeadLetters { workflow, .. } => {
                let page = store.dead_letters(&self.reach, None, workflow.as_deref(), &page).await?;
                // Newest first: nothing behind the first one that is too old is wanted.
                let ended = page.items.last().is_some_and(|view| self.is_too_old(&view.created_at));
                let chosen = page.items.iter().filter(|view| self.takes_letter(view));
                let items = chosen.filter_map(|view| self.letter(view)).collect();
                Ok(Items { items, next: page.next_cursor.filter(|_| !ended) })
            }
            ReplaySelection::Events { status, kind, trigger, quota, .. } => {
                let filter = EventFilter {
                    status: *status,
                    origin: None,
                    kind: kind.clone(),
                    trigger: trigger.clone(),
                    quota: *quota,
                    since: self.since,
                    until: Some(self.until),
                };
                let page = store.events(&self.reach, &filter, &page).await?;
                let chosen = page.items.iter().filter(|view| self.takes_event(view));
                // One that was sent again, and refused again, is listed each time.
                let mut seen = HashSet::new();
                let once = chosen.filter(|view| seen.insert((&view.customer, &view.id)));
                Ok(Items { items: once.filter_map(|view| self.event(view)).collect(), next: page.next_cursor })
            }
        }
    }

    /// Those that are named, a few at a time: the cursor is the number of the next.
    async fn named(&self, store: &dyn Store, ids: &[String], cursor: Option<String>, rows: u32) -> StoreResult<Items> {
        let from = cursor.and_then(|cursor| cursor.parse::<usize>().ok()).unwrap_or(0).min(ids.len());
        let to = (from + rows as usize).min(ids.len());
        let mut items = Vec::with_capacity(to - from);
        for (at, id) in ids.iter().enumerate().take(to).skip(from) {
            // Named twice is once.
            if ids[..at].contains(id) {
                continue;
            }
            items.extend(self.named_one(store, id).await?);
        }
        Ok(Items { items, next: (to < ids.len()).then(|| to.to_string()) })
    }

    async fn named_one(&self, store: &dyn Store, id: &str) -> StoreResult<Option<Item>> {
        let missing = || self.refused(id, "it is not there, or not within reach");
        let other = || self.refused(id, "it is none of those that the other fields select");
        if let ReplaySelection::Events { .. } = &self.request.select {
            let Ok(event) = EventId::new(id) else { return Ok(missing()) };
            let found = store.event(&self.reach, &event).await?;
            return Ok(match found {
                None => missing(),
                Some(view) if self.takes_event(&view) => self.event(&view),
                Some(_) => other(),
            });
        }
        let Ok(execution) = id.parse::<ExecutionId>() else { return Ok(missing()) };
        if let ReplaySelection::DeadLetters { .. } = &self.request.select {
            let found = store.dead_letter(&self.reach, execution).await?;
            return Ok(match found {
                None => missing(),
                Some(view) if self.takes_letter(&view) => self.letter(&view),
                Some(_) => other(),
            });
        }
        Ok(match store.execution(&self.reach, execution).await? {
            None => missing(),
            Some(view) if !view.status.is_final() => self.refused(id, "it has not ended"),
            Some(view) if self.takes_execution(&view) => self.execution(&view),
            Some(_) => other(),
        })
    }

    fn takes_execution(&self, view: &ExecutionView) -> bool {
        let ReplaySelection::Executions {
            status, workflow, version, trigger, error_name, error_code, error_step, ..
        } = &self.request.select
        else {
            return false;
        };
        view.status.is_final()
            && status.is_none_or(|status| status == view.status)
            && is(workflow, &view.workflow)
            && version.is_none_or(|version| version == view.version)
            && (trigger.is_none() || *trigger == view.trigger)
            && self.in_time(&view.created_at)
            && failed_with(view.error.as_ref(), error_name, error_code, error_step)
    }

    fn takes_letter(&self, view: &DeadLetterView) -> bool {
        let ReplaySelection::DeadLetters { status, workflow, error_name, error_code, error_step, .. } =
            &self.request.select
        else {
            return false;
        };
        let status = status.unwrap_or(DeadLetterStatus::Pending);
        // One that this replay has replayed was pending when it was asked for.
        let ours = || {
            let of = self.letter(view).zip(view.id.parse::<ExecutionId>().ok());
            of.is_some_and(|(item, of)| view.replays.contains(&item.replayed_as(&self.job, of).to_string()))
        };
        (view.status == status || (status == DeadLetterStatus::Pending && ours()))
            && is(workflow, &view.workflow)
            && self.in_time(&view.created_at)
            && failed_with(Some(&view.error), error_name, error_code, error_step)
    }

    fn takes_event(&self, view: &EventView) -> bool {
        let ReplaySelection::Events { status, kind, trigger, quota, .. } = &self.request.select else { return false };
        let wanted = match status {
            Some(status) => view.status == *status,
            None => matches!(view.status, EventStatus::Rejected | EventStatus::Unmatched),
        };
        wanted
            && view.kind != fastn_domain::event::COMMAND_TYPE
            && is(kind, &view.kind)
            && (quota.is_none() || *quota == view.quota)
            && (trigger.is_none() || *trigger == view.trigger)
            && self.in_time(&view.received_at)
    }

    fn in_time(&self, at: &str) -> bool {
        let at = parse_rfc3339(at);
        at.is_some_and(|at| at < self.until && self.since.is_none_or(|since| at >= since))
    }

    fn is_too_old(&self, at: &str) -> bool {
        self.since.is_some_and(|since| parse_rfc3339(at).is_some_and(|at| at < since))
    }

    fn execution(&self, view: &ExecutionView) -> Option<Item> {
        let what = What::Execution(view.id.parse().ok()?);
        Some(Item { id: view.id.clone(), scope: self.scope(&view.customer)?, what })
    }

    fn letter(&self, view: &DeadLetterView) -> Option<Item> {
        let what = What::Execution(view.id.parse().ok()?);
        Some(Item { id: view.id.clone(), scope: self.scope(&view.customer)?, what })
    }

    fn event(&self, view: &EventView) -> Option<Item> {
        let id = EventId::new(&view.id).ok()?;
        let what = if view.quota == Some(QuotaOutcome::Blocked) { What::Blocked(id) } else { What::Event(id) };
        Some(Item { id: view.id.clone(), scope: self.scope(&view.customer)?, what })
    }

    fn refused(&self, id: &str, reason: &str) -> Option<Item> {
        // It may be nobody's: the customer is only for its place.
        let scope = self.scope(self.reach.customer().map_or("none", |customer| customer.as_str()))?;
        Some(Item { id: id.to_owned(), scope, what: What::Refused(reason.to_owned()) })
    }

    fn scope(&self, customer: &str) -> Option<Scope> {
        Scope::parse(self.reach.account().as_str(), customer).ok()
    }
}

/// The customer that a request names, checked.
pub(super) fn customer_of(request: &StartReplay) -> ApiResult<Option<fastn_domain::CustomerId>> {
    let (ReplaySelection::Executions { customer, .. }
    | ReplaySelection::DeadLetters { customer, .. }
    | ReplaySelection::Events { customer, .. }) = &request.select;
    checked("select.customer", customer.as_deref().map(fastn_domain::CustomerId::new).transpose())
}

/// How far a replay of `account` looks that is bound to `customer`.
pub(super) fn reach_of(account: &AccountId, customer: Option<fastn_domain::CustomerId>) -> Reach {
    match customer {
        Some(customer) => Reach::Customer(Scope::new(account.clone(), customer)),
        None => Reach::Account(account.clone()),
    }
}

fn is(wanted: &Option<String>, found: &str) -> bool {
    wanted.as_deref().is_none_or(|wanted| wanted == found)
}

fn failed_with(
    error: Option<&ExecutionError>,
    name: &Option<String>,
    code: &Option<String>,
    step: &Option<String>,
) -> bool {
    match error {
        Some(error) => {
            is(name, &error.name)
                && is(code, &error.code)
                && step.as_ref().is_none_or(|step| error.step.as_ref() == Some(step))
        }
        None => name.is_none() && code.is_none() && step.is_none(),
    }
}
