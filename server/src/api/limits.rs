//! Limits of requests to the API, and of what is configured through it.
//!
//! ```text
//!   authenticated ─▶ minute: a window on this node (fastn_ingest::limiter)
//!                 ─▶ day: what SQL knows of the day, and what this node has taken since
//!                 ─▶ handler; every request that was let through is counted, and goes to SQL every few seconds
//! ```
//!
//! A process that is killed forgets what it counted since the last write, a few seconds of it. Nodes know of each other
//! through SQL, so together they may let through what they took in those seconds.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::quota::{Dimension, Enforcement, Measure};
use fastn_domain::catalog::{Catalog, CompiledTrigger};
use fastn_domain::quota::{DAY, Effective, MINUTE, Told, Window};
use fastn_domain::{AccountId, Clock, CustomerId, Reach, Scope, Timestamp};
use fastn_ingest::limiter::Limiter;
use fastn_ingest::limits::{payload_too_large, tell, used_up};
use fastn_store::{ApiCalls, Outcome, PageRequest, Store, StoreResult, UsageFilter};
use tokio_util::sync::CancellationToken;

use super::Api;
use super::caller::Caller;
use super::problem::{ApiError, ApiResult, problem_response};
use crate::observe;

/// How often what was counted goes to SQL.
const WRITE_EVERY: Duration = Duration::from_secs(3);
/// Callers that are counted at once; beyond it requests are let through and not counted, so that memory is bounded.
const CALLERS_MAX: usize = 100_000;

/// Who is counted: a customer, or the account itself.
type Who = (AccountId, Option<CustomerId>);

/// What is known of one caller's day.
#[derive(Clone, Copy, Debug, Default)]
struct Day {
    day: i64,
    /// What SQL had when it was asked last; nothing before that.
    stored: Option<u64>,
    /// Counted since and not written.
    pending: u64,
    /// On its way to SQL.
    under_way: u64,
}

impl Day {
    fn used(&self) -> u64 {
        self.stored.unwrap_or(0) + self.pending + self.under_way
    }
}

/// The counters of this node.
#[derive(Default)]
pub(crate) struct Limits {
    minutes: Limiter,
    days: Mutex<HashMap<Who, Day>>,
    /// Held while something that is limited in number is created.
    creating: tokio::sync::Mutex<()>,
}

impl Limits {
    /// Counters whose counts go to `store` until the process stops, and once more then.
    pub(crate) fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, stopping: CancellationToken) -> Arc<Self> {
        let limits = Arc::new(Self::default());
        let writer = Arc::clone(&limits);
        tokio::spawn(async move {
            loop {
                let stops = tokio::select! {
                    () = tokio::time::sleep(WRITE_EVERY) => false,
                    () = stopping.cancelled() => true,
                };
                writer.write(store.as_ref(), clock.now()).await;
                if stops {
                    return;
                }
            }
        });
        limits
    }

    fn days(&self) -> std::sync::MutexGuard<'_, HashMap<Who, Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one request out of a caller's day, if there is room.
    fn take_day(&self, who: &Who, day: i64, limit: Option<u64>) -> Option<u64> {
        let mut days = self.days();
        if days.len() >= CALLERS_MAX && !days.contains_key(who) {
            return Some(limit.unwrap_or(u64::MAX));
        }
        let known = days.entry(who.clone()).or_insert(Day { day, ..Day::default() });
        if known.day < day && known.pending == 0 && known.under_way == 0 {
            *known = Day { day, ..Day::default() };
        }
        let left = limit.unwrap_or(u64::MAX).saturating_sub(known.used());
        if left == 0 {
            return None;
        }
        known.pending += 1;
        Some(left - 1)
    }

    /// Whether this caller's day must be asked for before its limit can be held.
    fn is_unknown(&self, who: &Who, day: i64) -> bool {
        self.days().get(who).is_none_or(|known| known.day < day || known.stored.is_none())
    }

    fn learn(&self, who: &Who, day: i64, stored: u64) {
        let mut days = self.days();
        if days.len() >= CALLERS_MAX && !days.contains_key(who) {
            return;
        }
        let known = days.entry(who.clone()).or_insert(Day { day, ..Day::default() });
        if known.day < day && known.pending == 0 && known.under_way == 0 {
            *known = Day { day, ..Day::default() };
        }
        if known.day == day {
            known.stored = Some(stored);
        }
    }

    /// Writes what was counted. A write that did not happen is tried again with the next; of one whose outcome is unknown,
    /// it is taken that it happened: nobody is refused for requests that were counted twice.
    pub(crate) async fn write(&self, store: &dyn Store, now: Timestamp) {
        let mut accounts: HashMap<AccountId, Vec<(Who, ApiCalls)>> = HashMap::new();
        for (who, known) in self.days().iter_mut().filter(|(_, known)| known.pending > 0) {
            known.under_way += std::mem::take(&mut known.pending);
            let calls = ApiCalls { customer: who.1.clone(), day: known.day, calls: known.under_way };
            accounts.entry(who.0.clone()).or_default().push((who.clone(), calls));
        }
        for (account, counts) in accounts {
            let calls = counts.iter().map(|(_, calls)| calls.clone()).collect();
            let written = store.count_api_calls(&account, calls).await;
            let lost = written.as_ref().is_err_and(|error| error.outcome == Outcome::NotDone);
            for (who, calls) in counts {
                self.written(&who, calls.calls, lost);
                let counted_elsewhere = self.days().get(&who).is_some_and(|known| known.stored.is_some());
                if counted_elsewhere && let Ok(stored) = stored_calls(store, &who, calls.day).await {
                    self.learn(&who, calls.day, stored);
                }
            }
        }
        // Of a day that is over nothing is left to hold.
        let today = day_of(now);
        self.days().retain(|_, known| known.day >= today || known.pending + known.under_way > 0);
    }

    /// Requests of the present day: what SQL knows, and what this node has not written yet.
    pub(crate) async fn calls_of_day(&self, store: &dyn Store, reach: &Reach, now: Timestamp) -> StoreResult<u64> {
        let who: Who = (reach.account().clone(), reach.customer().cloned());
        let stored = stored_calls(store, &who, day_of(now)).await?;
        let fresh = self.days().get(&who).map_or(0, |known| known.pending + known.under_way);
        Ok(stored + fresh)
    }

    fn written(&self, who: &Who, calls: u64, lost: bool) {
        let mut days = self.days();
        let Some(known) = days.get_mut(who) else { return };
        known.under_way -= calls;
        if lost {
            known.pending += calls;
        } else if let Some(stored) = &mut known.stored {
            *stored += calls;
        }
    }
}

fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(i64::try_from(DAY.as_micros()).unwrap_or(i64::MAX))
}

/// Requests of a day, as SQL knows them.
async fn stored_calls(store: &dyn Store, (account, customer): &Who, day: i64) -> StoreResult<u64> {
    let at = Timestamp(day * 86_400_000_000);
    let filter = UsageFilter {
        customer: Some(customer.as_ref().map_or_else(String::new, |customer| customer.as_str().to_owned())),
        measure: Some(Measure::ApiCalls),
        since: Some(at),
        until: Some(at),
    };
    let page = PageRequest { cursor: None, limit: 1 };
    let found = store.usage(&Reach::Account(account.clone()), &filter, &page).await?;
    Ok(found.items.first().map_or(0, |row| row.used))
}

/// The layer: counts the request, or refuses it.
pub(crate) async fn enforce(State(api): State<Api>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else { return next.run(request).await };
    // Whoever may raise the limits can, whatever they are.
    let raises = ["/v1/quota-settings", "/v1/plans", "/v1/customer-tiers"];
    if caller.may_configure().is_ok() && raises.iter().any(|path| request.uri().path().starts_with(path)) {
        return next.run(request).await;
    }
    let now = api.clock.now();
    match take(&api, &caller, now).await {
        Ok(told) => tell(next.run(request).await, &told, now),
        Err(refused) => tell(problem_response(&refused.0), &refused.1, now),
    }
}

/// The answer, and the limits that go with it.
type Refused = Box<(Problem, Vec<Told>)>;

/// The limits that a request was within; the refusal, if it was not.
async fn take(api: &Api, caller: &Caller, now: Timestamp) -> Result<Vec<Told>, Refused> {
    let reach = caller.reach();
    let catalog = api.catalog.current();
    // Nobody gets room by a name that he makes up.
    let known = reach.customer().filter(|customer| {
        catalog.account(&caller.account).is_some_and(|account| account.customers.contains_key(*customer))
    });
    let who: Who = (caller.account.clone(), known.cloned());
    let limit = |dimension| limit_of(&catalog, &who, dimension);
    let (minute, day) = (limit(Dimension::ApiCallsPerMinute), limit(Dimension::ApiCallsPerDay));
    let mut told = Vec::new();
    let customer = who.1.as_ref().map_or("", |customer| customer.as_str());
    if let Some(minute) = minute {
        let key = format!("{}/{customer}", who.0);
        let left = api.limits.minutes.take(&key, minute.dimension.as_str(), minute.limit, MINUTE, now, 1);
        pass(&minute, left, MINUTE, customer, now, &mut told)?;
    }
    let today = day_of(now);
    if day.is_some() && api.limits.is_unknown(&who, today) {
        // A database that is away lets requests through: what they need of it will say so.
        if let Ok(stored) = stored_calls(api.store.as_ref(), &who, today).await {
            api.limits.learn(&who, today, stored);
        }
    }
    let hard = day.filter(|day| day.mode == Enforcement::Hard);
    let left = api.limits.take_day(&who, today, hard.map(|day| day.limit));
    if let Some(day) = day {
        let left = match (left, day.mode) {
            (left, Enforcement::Hard) => left,
            _ => {
                let used = api.limits.days().get(&who).map_or(0, Day::used);
                (used <= day.limit).then(|| day.limit - used)
            }
        };
        pass(&day, left, DAY, customer, now, &mut told)?;
    }
    Ok(told)
}

/// Takes note of a limit, and refuses what is beyond a hard one.
fn pass(
    limit: &Effective,
    left: Option<u64>,
    length: Duration,
    customer: &str,
    now: Timestamp,
    told: &mut Vec<Told>,
) -> Result<(), Refused> {
    let one = Told {
        name: limit.dimension.as_str(),
        limit: limit.limit,
        window_s: length.as_secs(),
        left: left.unwrap_or(0),
        resets: Window::at(now, length).end,
    };
    // A limit that only counts is not told.
    if limit.mode != Enforcement::Shadow {
        told.push(one);
    }
    if left.is_some() {
        return Ok(());
    }
    observe::quota_passed(limit.dimension, limit.mode);
    match limit.mode {
        Enforcement::Hard => Err(Box::new((used_up(limit, &one, customer, now), std::mem::take(told)))),
        _ => Ok(()),
    }
}

fn limit_of(catalog: &Catalog, (account, customer): &Who, dimension: Dimension) -> Option<Effective> {
    match customer {
        Some(customer) => catalog.limit(&Scope::new(account.clone(), customer.clone()), dimension),
        None => catalog.account(account)?.limit(None, dimension),
    }
}

/// Refuses a payload that is larger than its customer's limit.
pub(crate) fn check_payload(catalog: &Catalog, scope: &Scope, bytes: usize) -> ApiResult<()> {
    payload_too_large(catalog, scope, bytes).map_or(Ok(()), |problem| Err(problem.into()))
}

/// Held while one more of something is created, so that two requests do not both take the last place.
pub(crate) type Creating<'a> = Option<tokio::sync::MutexGuard<'a, ()>>;

impl Api {
    /// Refuses a trigger that gives its customer one more trigger, or a workflow more, than it may have. `there` says whether
    /// the customer has this trigger already.
    pub(crate) async fn may_write_trigger(
        &self,
        account: &AccountId,
        trigger: &CompiledTrigger,
        there: bool,
    ) -> ApiResult<Creating<'_>> {
        let Some(customer) = &trigger.customer else { return Ok(None) };
        let scope = Scope::new(account.clone(), customer.clone());
        let catalog = self.catalog.current();
        let triggers = catalog.limit(&scope, Dimension::Triggers).filter(|_| !there);
        let workflows = catalog.limit(&scope, Dimension::Workflows);
        if triggers.is_none() && workflows.is_none() {
            return Ok(None);
        }
        let creating = self.limits.creating.lock().await;
        let catalog = self.catalog.current();
        let Some(own) = catalog.account(account) else { return Ok(Some(creating)) };
        if let Some(limit) = triggers {
            let has = own.triggers_of(customer);
            held(&limit, customer, has, has + 1)?;
        }
        if let Some(limit) = workflows {
            let mut named = own.workflows_of(customer, Some(&trigger.id));
            let has = if there { own.workflows_of(customer, None).len() } else { named.len() };
            named.extend(trigger.routes.iter().map(|route| &route.workflow));
            held(&limit, customer, has as u64, named.len() as u64)?;
        }
        Ok(Some(creating))
    }
}

/// Refuses to let a customer have `then` of something, and not `has`, if that is more than its limit.
fn held(limit: &Effective, customer: &CustomerId, has: u64, then: u64) -> ApiResult<()> {
    if then <= limit.limit || then <= has {
        return Ok(());
    }
    observe::quota_passed(limit.dimension, limit.mode);
    if limit.mode != Enforcement::Hard {
        return Ok(());
    }
    let words = limit.dimension.words();
    let detail = format!(
        "customer {customer} has {has} {words}, with this {then}, and may have {}; delete one, or raise the limit",
        limit.limit
    );
    Err(ApiError::new(ErrorCode::QuotaExceeded, detail))
}
