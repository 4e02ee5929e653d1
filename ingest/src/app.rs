//! `/v1/apps/{endpoint}/events`: one URL for the webhooks of a connector app, for all customers that it has.
//!
//! ```text
//!   endpoint → app → proof → body → for each event: which, and whose → one event for each customer that listens
//!      404            401    400/413                                    all durable, or 503 and the same again
//! ```
//!
//! What an event is and whose is the domain's to say (`catalog/app.rs`); what it starts is the processor's. An event's id
//! is made of the delivery's id, or else of the body, and of its place in the request: a request that is sent again makes
//! the same events, and those that were stored the first time are duplicates.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use fastn_contract::activity::Origin;
use fastn_contract::app::APP_EVENTS_MAX;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::resource::Switch;
use fastn_contract::verification::Verification;
use fastn_domain::catalog::{APP_EVENT_UNNAMED, AccountCatalog, Catalog, CompiledApp, Routing, app_source};
use fastn_domain::event::EventRecord;
use fastn_domain::{AccountId, CustomerId, EndpointId, EventId, Residency, Scope, Timestamp};

use crate::auth::authenticate;
use crate::body::{self, Encoding, Received};
use crate::draft::{Draft, Envelope};
use crate::edge::Edge;
use crate::fields::Items;
use crate::kept_headers::{kept, traceparent, tracestate};
use crate::payload::{Media, data_of};
use crate::problem::invalid_part;
use crate::prove::{Guarded, Secrets};
use crate::verify::{Check, Refusal, Sent};
use crate::{delivery, handshake, hex};

/// Most events that one request may make, over all customers.
const DISPATCHED_MAX: usize = 10_000;
/// Bytes of the hash that stands for a body without a delivery id.
const BODY_ID_BYTES: usize = 16;

/// What a request became.
#[derive(Debug, Default)]
pub struct AppEvents {
    /// The events of each customer that listens.
    pub by_customer: BTreeMap<CustomerId, Vec<EventRecord>>,
    /// Events in the request.
    pub received: usize,
    /// Those that went nowhere, since nobody listens to their account or they do not say whose they are.
    pub unroutable: usize,
    /// The events that no customer gets, which the account keeps so that people see them.
    pub nowhere: Vec<EventRecord>,
}

impl AppEvents {
    /// How many events there are to store.
    pub fn dispatched(&self) -> usize {
        self.by_customer.values().map(Vec::len).sum()
    }

    /// One more for a customer.
    pub(crate) fn add(&mut self, event: EventRecord) {
        self.by_customer.entry(event.scope.customer.clone()).or_default().push(event);
    }

    /// What is to be stored, by the customer whose it is.
    pub(crate) fn appends(&self) -> impl Iterator<Item = &Vec<EventRecord>> {
        self.by_customer.values().chain(Some(&self.nowhere).filter(|events| !events.is_empty()))
    }
}

/// A request that was read.
pub(crate) enum AppOutcome {
    /// Events that are ready to be stored, of this app.
    Taken(String, AppEvents, Received),
    /// A handshake.
    Answered(Response),
}

/// An app and its account.
struct Target<'a> {
    account: &'a AccountId,
    app: &'a CompiledApp,
}

impl<'a> Target<'a> {
    fn guarded(&self) -> Guarded<'a> {
        let app = self.app;
        Guarded {
            account: self.account,
            customer: None,
            name: app.id.as_str(),
            verification: &app.spec.verification,
            challenge: app.spec.challenge.as_ref(),
        }
    }
}

/// Reads a request into the events that are ready to be stored, or answers a handshake.
pub(crate) async fn take(edge: &Edge, endpoint: &str, request: Request) -> Result<AppOutcome, Problem> {
    let (head, body) = request.into_parts();
    let config = &edge.parts.config;
    let now = edge.parts.clock.now();
    let catalog = edge.catalog();
    let target = find(&catalog, endpoint)?;
    let guarded = target.guarded();
    let sent = Sent { method: head.method.as_str(), uri: &head.uri, headers: &head.headers, now };
    if let Some(answer) = handshake::of_target(guarded, sent)? {
        return Ok(AppOutcome::Answered(answer));
    }
    if handshake::may_hold_token(guarded, sent) {
        return handshake::keep_token(edge, guarded, &catalog, sent, body).await.map(AppOutcome::Answered);
    }
    let check = prove(edge, &catalog, guarded, sent)?;
    let encoding = Encoding::of(&head.headers)?;
    let bytes_max = config.webhook_body_bytes_max;
    let received = body::receive(&head.headers, body, &edge.budget, bytes_max, config.body_time_max).await?;
    check.body(&received.bytes).map_err(|refusal| guarded.refused(&refusal))?;
    if let Some(answer) = handshake::of_verified(guarded, &received.bytes)? {
        return Ok(AppOutcome::Answered(answer));
    }
    let body = body::decode(received, encoding, bytes_max).await?;
    let into = Recipients { catalog: &catalog, account: target.account, residency: &edge.parts.residency };
    let events = parse_app_events(&head.headers, &body.bytes, target.app, into, now)?;
    Ok(AppOutcome::Taken(target.app.id.to_string(), events, body))
}

/// Answers a GET that is a handshake.
pub(crate) fn ask(edge: &Edge, endpoint: &str, request: &Request) -> Result<Option<Response>, Problem> {
    let catalog = edge.catalog();
    let Ok(target) = find(&catalog, endpoint) else { return Ok(None) };
    let sent = Sent {
        method: request.method().as_str(),
        uri: request.uri(),
        headers: request.headers(),
        now: edge.parts.clock.now(),
    };
    handshake::of_get(target.guarded(), Secrets { catalog: &catalog, open: &edge.parts.secrets }, sent)
}

/// Whether this app proves itself by HTTP Basic, so that a sender that has not may be asked to.
pub(crate) fn asks_for_basic(edge: &Edge, endpoint: &str) -> bool {
    let catalog = edge.catalog();
    find(&catalog, endpoint).is_ok_and(|target| matches!(target.app.spec.verification, Verification::Basic { .. }))
}

/// The enabled app at this endpoint. Everything else is one and the same answer.
fn find<'a>(catalog: &'a Catalog, endpoint: &str) -> Result<Target<'a>, Problem> {
    let found = EndpointId::new(endpoint).ok().and_then(|endpoint| catalog.app_at(&endpoint));
    match found {
        Some((account, app)) if app.spec.status == Switch::Enabled => Ok(Target { account, app }),
        _ => Err(Problem::new(ErrorCode::NotFound, "There is no app here. Check the endpoint in the URL.")),
    }
}

fn prove(edge: &Edge, catalog: &Catalog, guarded: Guarded<'_>, sent: Sent<'_>) -> Result<Check, Problem> {
    if *guarded.verification == Verification::AccessKey {
        // A customer's own key may not send what is for others.
        let caller = authenticate(catalog, sent.headers, sent.now).ok();
        return match caller {
            Some(caller) if caller.account == *guarded.account && caller.customer.is_none() => Ok(Check::Done),
            _ => Err(guarded.refused(&Refusal::AccessKey)),
        };
    }
    guarded.prove(Secrets { catalog, open: &edge.parts.secrets }, sent)
}

/// Whom events may be for.
#[derive(Clone, Copy)]
pub struct Recipients<'a> {
    /// The configuration.
    pub catalog: &'a Catalog,
    /// The account that has the app.
    pub account: &'a AccountId,
    /// Whose events are taken here.
    pub residency: &'a Residency,
}

impl<'a> Recipients<'a> {
    /// The account's configuration.
    pub(crate) fn own(&self) -> Option<&'a Arc<AccountCatalog>> {
        self.catalog.account(self.account)
    }

    /// The customers whose triggers listen to an event of an app, and whose events are taken here.
    pub(crate) fn listening(&self, app: &CompiledApp, account: Option<&str>, kind: &str) -> BTreeSet<CustomerId> {
        let Some(own) = self.own() else { return BTreeSet::new() };
        let customers =
            own.app_triggers(&app.id, account, kind).into_iter().filter_map(|trigger| trigger.customer.clone());
        let at_home = |customer: &CustomerId| {
            let scope = Scope::new(self.account.clone(), customer.clone());
            self.catalog.customer(&scope).is_some() && self.residency.check(self.catalog, &scope).is_ok()
        };
        customers.filter(at_home).collect()
    }
}

/// The events of a verified request to an app's URL. Pure, so that it can be fuzzed.
///
/// # Errors
/// `VALIDATION_ERROR` for a body that does not read, `PAYLOAD_TOO_LARGE` for more events than one request may make.
pub fn parse_app_events(
    headers: &HeaderMap,
    body: &[u8],
    app: &CompiledApp,
    into: Recipients<'_>,
    now: Timestamp,
) -> Result<AppEvents, Problem> {
    let media = Media::of(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
    let data = data_of(media, body, "body")?;
    let kept = kept(headers, &app.spec.verification)?;
    let (traceparent, tracestate) = (traceparent(headers), tracestate(headers));
    let delivery = match delivery::id(&app.spec.verification, headers, &data) {
        Some(id) => id.as_str().to_owned(),
        None => format!("body_{}", hash_of(body)),
    };
    let is_list = data.trim_ascii_start().starts_with('[');
    let elements = if is_list { elements(&data)? } else { vec![data.clone()] };
    let mut events = AppEvents { received: elements.len(), ..AppEvents::default() };
    for (at, data) in elements.into_iter().enumerate() {
        let payload = serde_json::from_str(&data).map_err(|_| invalid_part("body", "is not valid JSON"))?;
        let routing = app.routing(&payload);
        let nameless = routing == Routing::Unroutable;
        let (kind, account, listening) = match routing {
            Routing::To { event, account } => {
                let kind = event.unwrap_or_else(|| APP_EVENT_UNNAMED.to_owned());
                let customers = into.listening(app, account.as_deref(), &kind);
                (kind, account, customers)
            }
            Routing::Unroutable | Routing::Unnamed | Routing::Unknown => {
                (APP_EVENT_UNNAMED.to_owned(), None, BTreeSet::new())
            }
        };
        events.unroutable += usize::from(listening.is_empty() && (account.is_some() || nameless));
        if events.dispatched() + listening.len() > DISPATCHED_MAX {
            let detail = format!("The request makes more than {DISPATCHED_MAX} events. Nothing was taken; send fewer.");
            return Err(Problem::new(ErrorCode::PayloadTooLarge, detail));
        }
        let draft = Draft {
            id: Some(event_id(&delivery, is_list.then_some(at))),
            kind,
            source: app_source(&app.id),
            subject: account,
            time: None,
            extensions: kept.clone(),
            priority: None,
            data,
        };
        let record = |scope, draft: Draft| {
            let (traceparent, tracestate) = (traceparent.clone(), tracestate.clone());
            let envelope = Envelope { scope, origin: Origin::Webhook, trigger: None, now, traceparent, tracestate };
            draft.into_record(&envelope, || crate::new_event_id(now))
        };
        if listening.is_empty() {
            events.nowhere.push(record(Scope::of_account(into.account.clone()), draft));
            continue;
        }
        for customer in listening {
            events.add(record(Scope::new(into.account.clone(), customer), draft.clone()));
        }
    }
    Ok(events)
}

fn elements(data: &str) -> Result<Vec<Arc<str>>, Problem> {
    let items: Items<'_, APP_EVENTS_MAX> = serde_json::from_str(data)
        .map_err(|_| invalid_part("body", format!("must be an array of at most {APP_EVENTS_MAX} events")))?;
    Ok(items.0.into_iter().map(|item| Arc::from(item.get())).collect())
}

/// The id of an event of a delivery; of the event at `at`, if the delivery is a list.
fn event_id(delivery: &str, at: Option<usize>) -> EventId {
    let text = match at {
        Some(at) => Cow::Owned(format!("{delivery}/{at}")),
        None => Cow::Borrowed(delivery),
    };
    // A delivery id may leave no room for the place.
    EventId::new(&text).unwrap_or_else(|_| {
        EventId::new(&format!("body_{}", hash_of(text.as_bytes()))).expect("hexadecimal is an event id")
    })
}

fn hash_of(bytes: &[u8]) -> String {
    hex::encode(&digest(&SHA256, bytes).as_ref()[..BODY_ID_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: an event's id depends on the delivery and its place alone, and is one even where no room is left.
    #[test]
    fn ids_are_made_of_delivery_and_place() {
        assert_eq!(event_id("d", None).as_str(), "d");
        assert_eq!(event_id("d", Some(3)).as_str(), "d/3");
        let long = "d".repeat(256);
        assert_eq!(event_id(&long, None).as_str(), long);
        assert_ne!(event_id(&long, Some(1)), event_id(&long, Some(2)));
        assert_eq!(event_id(&long, Some(1)), event_id(&long, Some(1)));
    }
}
