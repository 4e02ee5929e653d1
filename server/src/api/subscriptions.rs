//! Subscriptions: whether a connector app knows of an app-event trigger. Apart from the trigger's status: a trigger that is
//! on and whose subscription failed never fires.
//!
//! ```text
//!   PUT trigger ─▶ trigger + not_subscribed ─▶ the app is asked ─▶ subscribed | failed
//!                      one transaction              HTTP               one write
//! ```
//!
//! A process that dies in between leaves `not_subscribed`; writing the trigger again, or `retry-subscription`, asks again.
//! The request carries the same idempotency key for the same state of the trigger, so that an app that knows such keys
//! subscribes once. What an app answers beside its status is not kept: it may repeat a secret.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use fastn_contract::resource::{App, RequestTemplate, SubscriptionState, SubscriptionView, Trigger, TriggerSource};
use fastn_domain::catalog::{ResourceKind, ResourceRow};
use fastn_domain::path::Path;
use fastn_domain::{AccountId, AppId, TriggerId, template};
use fastn_ingest::SecretAt;
use fastn_store::{Expect, ResourceWrite};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::Api;
use super::app_ports::AppRequest;
use super::caller::Caller;
use super::extract::{PathParts, checked};
use super::problem::{ApiError, ApiResult};
use super::resources;
use crate::observe;

const KIND: ResourceKind = ResourceKind::Subscription;
/// RFC 3986 section 2.3: what needs no escape anywhere in a URL.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Get a trigger's subscription
///
/// Whether the connector app knows of the trigger, apart from the trigger's own status.
#[utoipa::path(get, path = "/v1/triggers/{id}/subscription", operation_id = "getSubscription", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 200, description = "The subscription", body = SubscriptionView)))]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
) -> ApiResult<Json<SubscriptionView>> {
    let (trigger, _) = app_event_trigger(&api, &caller, &id).await?;
    Ok(Json(current(&api, &caller, &trigger).await?))
}

/// Ask the app again to subscribe
///
/// For a trigger whose subscription failed or was never made. One that is subscribed stays as it is.
#[utoipa::path(post, path = "/v1/triggers/{id}/retry-subscription", operation_id = "retrySubscription", tag = "Triggers",
    params(("id" = String, Path, description = "The trigger's id")),
    responses((status = 200, description = "What the app answered", body = SubscriptionView)))]
pub(crate) async fn retry(
    State(api): State<Api>,
    caller: Caller,
    PathParts(id): PathParts<String>,
    headers: HeaderMap,
) -> ApiResult<Json<SubscriptionView>> {
    let (trigger, row) = app_event_trigger(&api, &caller, &id).await?;
    Ok(Json(subscribe(&api, &caller, &trigger, row.version, &headers).await?))
}

/// Where the subscription of a trigger stands, if it is one that has a subscription.
pub(crate) fn state(api: &Api, account: &AccountId, trigger: &Trigger) -> Option<SubscriptionState> {
    named(trigger)?;
    let catalog = api.catalog.current();
    let known =
        TriggerId::new(&trigger.id).ok().and_then(|id| catalog.account(account)?.subscriptions.get(&id).copied());
    Some(known.unwrap_or_default())
}

async fn app_event_trigger(api: &Api, caller: &Caller, id: &str) -> ApiResult<(Trigger, ResourceRow)> {
    checked("id", TriggerId::new(id))?;
    let row = resources::required(api, caller, ResourceKind::Trigger, id).await?;
    let trigger: Trigger = resources::body(&row)?;
    match trigger.source {
        TriggerSource::AppEvent { .. } => Ok((trigger, row)),
        _ => Err(ApiError::invalid("id", format!("trigger {id:?} listens to no app; it has no subscription"))),
    }
}

/// The app, the event and the account that an app-event trigger names.
fn named(trigger: &Trigger) -> Option<(&str, &str, Option<&str>)> {
    match &trigger.source {
        TriggerSource::AppEvent { app, event, account_id } => Some((app, event, account_id.as_deref())),
        _ => None,
    }
}

/// Refuses an app-event trigger whose app does not have what it names, and any trigger that would change its app. Since
/// nobody proves here whose an account at an app is, keys of one customer may not listen to it.
pub(crate) fn check(api: &Api, caller: &Caller, trigger: &Trigger, before: Option<&Trigger>) -> ApiResult<()> {
    let old = before.and_then(named);
    if let Some((old, ..)) = old
        && named(trigger).is_none_or(|(new, ..)| new != old)
    {
        let message = format!("is {old:?} and stays so; create another trigger for another app");
        return Err(ApiError::invalid("source.app", message));
    }
    let Some((app, event, account)) = named(trigger) else { return Ok(()) };
    if before.is_some() && old.is_none() {
        return Err(ApiError::invalid("source", "a trigger of another kind does not become one of an app"));
    }
    caller.may_configure()?;
    let catalog = api.catalog.current();
    let found = AppId::new(app).ok().and_then(|id| catalog.account(&caller.account)?.apps.get(&id));
    let Some(found) = found else {
        return Err(ApiError::invalid("source.app", format!("there is no app {app:?}; create it first")));
    };
    if !found.sends(event) {
        return Err(ApiError::invalid("source.event", format!("{event:?} is none of the events of app {app:?}")));
    }
    if found.maps_accounts() && account.is_none() {
        let message = format!("is needed: the events of app {app:?} say whose they are");
        return Err(ApiError::invalid("source.accountId", message));
    }
    Ok(())
}

/// The row of a trigger that was never subscribed, to be written with a new app-event trigger.
pub(crate) fn beginning(trigger: &Trigger, id: &TriggerId) -> ApiResult<Option<ResourceWrite>> {
    if named(trigger).is_none() {
        return Ok(None);
    }
    let customer = checked("customer", trigger.customer.as_deref().map(fastn_domain::CustomerId::new).transpose())?;
    resources::writing(KIND, customer, id.as_str(), &fresh(trigger), Expect::Any).map(Some)
}

fn fresh(trigger: &Trigger) -> SubscriptionView {
    let (_, event, account) = named(trigger).unwrap_or_default();
    SubscriptionView {
        trigger: trigger.id.clone(),
        event: event.to_owned(),
        account_id: account.map(str::to_owned),
        ..SubscriptionView::default()
    }
}

async fn current(api: &Api, caller: &Caller, trigger: &Trigger) -> ApiResult<SubscriptionView> {
    match api.store.resource(&caller.reach(), KIND, &trigger.id).await? {
        Some(row) => resources::body(&row),
        None => Ok(fresh(trigger)),
    }
}

/// Makes a trigger known to its app, unless it is; and what it listened to before unknown. What the app answers is kept.
pub(crate) async fn subscribe(
    api: &Api,
    caller: &Caller,
    trigger: &Trigger,
    version: u64,
    headers: &HeaderMap,
) -> ApiResult<SubscriptionView> {
    let Some((_, event, account)) = named(trigger) else { return Ok(SubscriptionView::default()) };
    let known = current(api, caller, trigger).await?;
    if known.state == SubscriptionState::Subscribed {
        if known.event == event && known.account_id.as_deref() == account {
            return Ok(known);
        }
        unsubscribe(api, caller, trigger, &known, headers).await?;
    }
    let attempts = known.attempts + 1;
    let mut next = SubscriptionView { attempts, asked_at: Some(api.clock.now().to_string()), ..fresh(trigger) };
    let app = app_of(api, caller, trigger).await?;
    let Some(subscription) = app.subscription.clone() else {
        next.detail = Some("the app says no request to subscribe with; subscribe at the app itself".to_owned());
        return store(api, caller, trigger, next).await;
    };
    let filler = Filler::new(api, caller, trigger, &next, headers);
    let key = format!("subscribe-{}-{version}-{attempts}", trigger.id);
    match ask(&filler, &subscription.subscribe, &key).await {
        Ok(body) => {
            next.state = SubscriptionState::Subscribed;
            next.subscription_id = subscription.id_path.as_deref().and_then(|path| id_in(&body, path));
            observe::subscription("subscribed", &trigger.id, "");
        }
        Err(reason) => {
            next.state = SubscriptionState::Failed;
            observe::subscription("failed", &trigger.id, &reason);
            next.detail = Some(reason);
        }
    }
    store(api, caller, trigger, next).await
}

/// Tells the app to forget a trigger. That it does not is logged and no more: what it sends goes nowhere.
pub(crate) async fn unsubscribe(
    api: &Api,
    caller: &Caller,
    trigger: &Trigger,
    known: &SubscriptionView,
    headers: &HeaderMap,
) -> ApiResult<()> {
    let app = app_of(api, caller, trigger).await?;
    let Some(unsubscribe) = app.subscription.and_then(|subscription| subscription.unsubscribe) else { return Ok(()) };
    let filler = Filler::new(api, caller, trigger, known, headers);
    let key = format!("unsubscribe-{}-{}", trigger.id, known.attempts);
    match ask(&filler, &unsubscribe, &key).await {
        Ok(_) => observe::subscription("unsubscribed", &trigger.id, ""),
        Err(reason) => observe::subscription("unsubscribe_failed", &trigger.id, &reason),
    }
    Ok(())
}

/// Before an app-event trigger is deleted: makes it unknown to its app, and gives the row that goes with it.
pub(crate) async fn end(
    api: &Api,
    caller: &Caller,
    trigger: &Trigger,
    headers: &HeaderMap,
) -> ApiResult<Option<ResourceWrite>> {
    let Some(row) = api.store.resource(&caller.reach(), KIND, &trigger.id).await? else { return Ok(None) };
    let known: SubscriptionView = resources::body(&row)?;
    if known.state == SubscriptionState::Subscribed {
        unsubscribe(api, caller, trigger, &known, headers).await?;
    }
    let (kind, expect) = (KIND, Expect::Version(row.version));
    Ok(Some(ResourceWrite { kind, customer: row.customer, id: row.id, body: None, expect }))
}

async fn app_of(api: &Api, caller: &Caller, trigger: &Trigger) -> ApiResult<App> {
    let (app, ..) = named(trigger).unwrap_or_default();
    resources::body(&resources::required(api, caller, ResourceKind::App, app).await?)
}

async fn store(api: &Api, caller: &Caller, trigger: &Trigger, view: SubscriptionView) -> ApiResult<SubscriptionView> {
    let customer = checked("customer", trigger.customer.as_deref().map(fastn_domain::CustomerId::new).transpose())?;
    let write = resources::writing(KIND, customer, &trigger.id, &view, Expect::Any)?;
    resources::write_all(api, caller, vec![write]).await?;
    Ok(view)
}

fn id_in(body: &[u8], path: &str) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    match Path::parse(path).ok()?.find(&body)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Fills a request and makes it. The error says what is wrong without the value of any secret.
async fn ask(filler: &Filler<'_>, template: &RequestTemplate, key: &str) -> Result<Vec<u8>, String> {
    let request = filler.request(template, key)?;
    let answer = (filler.api.apps.call)(request).await?;
    match answer.status {
        200..=299 => Ok(answer.body),
        status => Err(format!("the app answered {status}")),
    }
}

/// What the places of a template stand for.
struct Filler<'a> {
    api: &'a Api,
    account: &'a AccountId,
    trigger: &'a Trigger,
    view: &'a SubscriptionView,
    base_url: String,
}

impl<'a> Filler<'a> {
    fn new(
        api: &'a Api,
        caller: &'a Caller,
        trigger: &'a Trigger,
        view: &'a SubscriptionView,
        headers: &HeaderMap,
    ) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let base_url = api.apps.public_url.clone().unwrap_or_else(|| {
            let scheme = text("x-forwarded-proto").unwrap_or("http");
            format!("{scheme}://{}", text("x-forwarded-host").or_else(|| text("host")).unwrap_or("localhost"))
        });
        Self { api, account: &caller.account, trigger, view, base_url }
    }

    fn request(&self, template: &RequestTemplate, key: &str) -> Result<AppRequest, String> {
        let url = template::fill(&template.url, |name| {
            let value = self.value(name)?;
            Ok(utf8_percent_encode(&value, ESCAPED).to_string())
        })?;
        let place = |name: &str| self.value(name);
        let (mut headers, body) = template::fill_request(&template.headers, template.body.as_ref(), &place)?;
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("idempotency-key")) {
            headers.push(("idempotency-key".to_owned(), key.to_owned()));
        }
        Ok(AppRequest { method: template.method.clone(), url, headers, body })
    }

    fn value(&self, name: &str) -> Result<String, String> {
        let (app, ..) = named(self.trigger).unwrap_or_default();
        let missing = |what: &str| format!("there is no {what} to fill in");
        match name {
            "app" => Ok(app.to_owned()),
            // Those of the subscription: an unsubscribe is for what was subscribed.
            "event" => Ok(self.view.event.clone()),
            "accountId" => self.view.account_id.clone().ok_or_else(|| missing("accountId")),
            "customer" => Ok(self.trigger.customer.clone().unwrap_or_default()),
            "trigger" => Ok(self.trigger.id.clone()),
            "subscriptionId" => self.view.subscription_id.clone().ok_or_else(|| missing("subscriptionId")),
            "webhookUrl" => {
                let catalog = self.api.catalog.current();
                let found = AppId::new(app).ok().and_then(|id| catalog.account(self.account)?.apps.get(&id).cloned());
                let endpoint = found.and_then(|app| app.spec.endpoint.clone()).ok_or_else(|| missing("endpoint"))?;
                Ok(format!("{}/v1/apps/{endpoint}/events", self.base_url.trim_end_matches('/')))
            }
            other => match other.strip_prefix("secret.") {
                Some(secret) => self.secret(secret),
                None => Err(missing(other)),
            },
        }
    }

    fn secret(&self, name: &str) -> Result<String, String> {
        let catalog = self.api.catalog.current();
        let account = catalog.account(self.account).ok_or_else(|| format!("there is no secret {name}"))?;
        let own = self.trigger.customer.as_deref().and_then(|id| fastn_domain::CustomerId::new(id).ok());
        let newest = account.newest_secret(own.as_ref(), name).ok_or_else(|| format!("there is no secret {name}"))?;
        let (version, sealed) = (newest.version, newest.sealed);
        let at = SecretAt { account: self.account, customer: newest.owner, name, version, sealed };
        (self.api.apps.open_secret)(at).map_err(|_| format!("the secret {name} cannot be opened"))
    }
}
