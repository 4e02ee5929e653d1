//! `POST /v1/app-events`: events of a connector app that the SaaS backend sends itself, one or a list.
//!
//! A list is all or nothing, as with `/v1/events`: one event that is not valid refuses it. An event goes to the customer
//! that is named, whether anybody listens or not, or to those whose triggers have its account.

use axum::extract::Request;
use axum::http::HeaderMap;
use fastn_contract::activity::Origin;
use fastn_contract::app::APP_EVENTS_MAX;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::resource::Switch;
use fastn_domain::catalog::{CompiledApp, app_source};
use fastn_domain::{AppId, CustomerId, Scope, Timestamp};

use crate::app::{AppEvents, Recipients};
use crate::auth::{Caller, authenticate, known_scope};
use crate::body::{self, Encoding, Received};
use crate::cloudevents::structured::checked;
use crate::draft::{self, ATTRIBUTE_BYTES_MAX, Draft, Envelope};
use crate::edge::Edge;
use crate::event_id::new_event_id;
use crate::events::{event_id, idempotency_key};
use crate::fields::{Complaints, Fields, Items};
use crate::kept_headers::{traceparent, tracestate};
use crate::problem::{cut, invalid, invalid_part};

/// An event as it was sent.
struct Sent {
    draft: Draft,
    app: String,
    customer: Option<CustomerId>,
}

/// Reads a request into events that are ready to be stored.
pub(crate) async fn take(edge: &Edge, request: Request) -> Result<(AppEvents, Received), Problem> {
    let (head, body) = request.into_parts();
    let config = &edge.parts.config;
    let now = edge.parts.clock.now();
    let catalog = edge.catalog();
    let caller = authenticate(&catalog, &head.headers, now)?;
    let encoding = Encoding::of(&head.headers)?;
    let bytes_max = config.events_body_bytes_max;
    let received = body::receive(&head.headers, body, &edge.budget, bytes_max, config.body_time_max).await?;
    let body = body::decode(received, encoding, bytes_max).await?;
    let into = Recipients { catalog: &catalog, account: &caller.account, residency: &edge.parts.residency };
    Ok((parse_sent_app_events(&head.headers, &body.bytes, &caller, into, now)?, body))
}

/// The events of a request to `/v1/app-events`. Pure, so that it can be fuzzed.
///
/// # Errors
/// `VALIDATION_ERROR` naming each bad part, `FORBIDDEN` for another customer than the key's, `NOT_FOUND` for a customer
/// that does not exist, `WRONG_REGION`.
pub fn parse_sent_app_events(
    headers: &HeaderMap,
    body: &[u8],
    caller: &Caller,
    into: Recipients<'_>,
    now: Timestamp,
) -> Result<AppEvents, Problem> {
    let key = idempotency_key(headers)?;
    let named = caller.acts_for(headers)?;
    let text = std::str::from_utf8(body).map_err(|_| invalid_part("body", "is not UTF-8"))?;
    let is_list = text.trim_ascii_start().starts_with('[');
    let sent = if is_list { list(text)? } else { vec![read(text, String::new())?] };
    let mut events = AppEvents { received: sent.len(), ..AppEvents::default() };
    for (at, Sent { mut draft, app, customer }) in sent.into_iter().enumerate() {
        let prefix = if is_list { format!("events[{at}].") } else { String::new() };
        let app = known_app(into, &app, &draft.kind, &prefix)?;
        let id = match key {
            Some(key) if is_list => Some(event_id(&format!("{key}/{at}"))?),
            Some(key) => Some(event_id(key)?),
            None => None,
        };
        draft.id = draft.id.or(id).or_else(|| Some(new_event_id(now)));
        draft.source = app_source(&app.id);
        let customers = recipients(&draft, app, customer.or_else(|| named.clone()), caller, into, &prefix)?;
        let record = |scope, draft: Draft| {
            let (traceparent, tracestate) = (traceparent(headers), tracestate(headers));
            let envelope = Envelope { scope, origin: Origin::Api, trigger: None, now, traceparent, tracestate };
            draft.into_record(&envelope, || new_event_id(now))
        };
        if customers.is_empty() {
            events.unroutable += 1;
            events.nowhere.push(record(Scope::of_account(into.account.clone()), draft));
            continue;
        }
        for customer in customers {
            events.add(record(Scope::new(into.account.clone(), customer), draft.clone()));
        }
    }
    Ok(events)
}

fn known_app<'a>(into: Recipients<'a>, app: &str, event: &str, prefix: &str) -> Result<&'a CompiledApp, Problem> {
    let found = AppId::new(app).ok().and_then(|id| into.own()?.apps.get(&id));
    let Some(found) = found.filter(|app| app.spec.status == Switch::Enabled) else {
        return Err(invalid_part(
            format!("{prefix}app"),
            format!("the account has no app {:?} that is on", cut(app, 60)),
        ));
    };
    if !found.sends(event) {
        let message = format!("{:?} is none of the events of app {}", cut(event, 60), found.id);
        return Err(invalid_part(format!("{prefix}event"), message));
    }
    Ok(found)
}

fn recipients(
    draft: &Draft,
    app: &CompiledApp,
    customer: Option<CustomerId>,
    caller: &Caller,
    into: Recipients<'_>,
    prefix: &str,
) -> Result<Vec<CustomerId>, Problem> {
    let Some(customer) = customer else {
        let Some(account) = &draft.subject else {
            return Err(invalid_part(format!("{prefix}customer"), "is missing; name the customer, or the accountId"));
        };
        return Ok(into.listening(app, Some(account), &draft.kind).into_iter().collect());
    };
    if caller.customer.as_ref().is_some_and(|own| *own != customer) {
        let detail = format!("The access key {} acts for another customer than {customer}.", caller.key_id);
        return Err(Problem::new(ErrorCode::Forbidden, detail));
    }
    let scope = Scope::new(into.account.clone(), customer);
    into.residency.check(into.catalog, &scope)?;
    Ok(vec![known_scope(into.catalog, scope)?.customer])
}

fn list(text: &str) -> Result<Vec<Sent>, Problem> {
    let message = || format!("must be an event, or an array of 1 to {APP_EVENTS_MAX} events");
    let items: Items<'_, APP_EVENTS_MAX> = serde_json::from_str(text).map_err(|_| invalid_part("body", message()))?;
    if items.0.is_empty() {
        return Err(invalid_part("body", message()));
    }
    let mut sent = Vec::with_capacity(items.0.len());
    let mut errors = Vec::new();
    for (at, item) in items.0.iter().enumerate() {
        match read(item.get(), format!("events[{at}].")) {
            Ok(one) => sent.push(one),
            Err(problem) if !problem.errors.is_empty() => errors.extend(problem.errors),
            Err(problem) => return Err(problem),
        }
    }
    if errors.is_empty() { Ok(sent) } else { Err(invalid(errors)) }
}

fn read(text: &str, prefix: String) -> Result<Sent, Problem> {
    let mut complaints = Complaints::at(prefix);
    let mut fields = match Fields::read(text) {
        Ok(fields) => fields,
        Err(message) => {
            complaints.add("", format!("is no event: {message}"));
            return Err(invalid(complaints.errors));
        }
    };
    let mut text = |name| fields.take_text(name, &mut complaints);
    let (id, app, event, customer) = (text("id"), text("app"), text("event"), text("customer"));
    let (account, time, priority) = (text("accountId"), text("time"), text("priority"));
    let data = match fields.take("data") {
        Some(data) => checked(data, &mut complaints)?,
        None => "null".into(),
    };
    for (name, _) in &fields.0 {
        complaints
            .add(cut(name, 60), "is not known; there are id, app, event, customer, accountId, time, priority and data");
    }
    let customer = customer
        .and_then(|text| CustomerId::new(&text).map_err(|error| complaints.add("customer", error.to_string())).ok());
    let draft = Draft {
        id: draft::id(id, &mut complaints),
        kind: draft::required("event", event, ATTRIBUTE_BYTES_MAX, &mut complaints),
        source: String::new(),
        subject: draft::optional("accountId", account, ATTRIBUTE_BYTES_MAX, &mut complaints),
        time: draft::time(time, &mut complaints),
        extensions: Vec::new(),
        priority: draft::priority("priority", priority, &mut complaints),
        data,
    };
    let app = draft::required("app", app, ATTRIBUTE_BYTES_MAX, &mut complaints);
    if complaints.errors.is_empty() { Ok(Sent { draft, app, customer }) } else { Err(invalid(complaints.errors)) }
}
