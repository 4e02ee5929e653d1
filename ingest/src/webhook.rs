//! `POST /v1/webhooks/{trigger}`: requests of third-party apps.
//!
//! ```text
//!   trigger → customer → region → headers of the signature → body → signature → decoding → event
//!      404        400       421              401           413/503      401       400/413
//! ```
//!
//! Nothing of the body is touched before the headers could be right, and nothing is decompressed or parsed before the
//! sender has proven itself.

use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use fastn_contract::activity::Origin;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::resource::{Switch, TriggerSource};
use fastn_contract::verification::{Challenge, Verification};
use fastn_domain::catalog::{Catalog, CompiledTrigger};
use fastn_domain::event::EventRecord;
use fastn_domain::{AccountId, CustomerId, Scope, Timestamp, TriggerId};

use crate::auth::{authenticate, customer_header, customer_missing, known_scope};
use crate::body::{self, Encoding};
use crate::draft::{Draft, Envelope};
use crate::edge::{Edge, Outcome, Taken};
use crate::event_id::new_event_id;
use crate::kept_headers::{kept, traceparent, tracestate};
use crate::payload::{Media, data_of};
use crate::prove::{Guarded, Secrets};
use crate::verify::{Check, Refusal, Sent, github};
use crate::{cloudevents, delivery, handshake};

/// The type of a webhook that says none itself.
const TYPE_DEFAULT: &str = "webhook.received";
/// Longest part of a type that is taken from a request.
const TYPE_PART_BYTES_MAX: usize = 64;

/// A trigger and who is asking for it.
struct Target<'a> {
    account: &'a AccountId,
    trigger: &'a CompiledTrigger,
    verification: &'a Verification,
    challenge: Option<&'a Challenge>,
}

impl<'a> Target<'a> {
    fn guarded(&self, customer: Option<&'a CustomerId>) -> Guarded<'a> {
        let Self { account, trigger, verification, challenge } = *self;
        Guarded { account, customer, name: trigger.id.as_str(), verification, challenge }
    }
}

/// Reads a request into the event that is ready to be stored, or answers a handshake.
pub(crate) async fn take(edge: &Edge, trigger: &str, request: Request) -> Result<Outcome, Problem> {
    let (head, body) = request.into_parts();
    let config = &edge.parts.config;
    let now = edge.parts.clock.now();
    let catalog = edge.catalog();
    let target = find(&catalog, trigger)?;
    let named = customer(&target, &head.headers)?;
    if let Some(customer) = &named {
        // Before its signature: what verifies it lies in the customer's own cell.
        here(edge, &catalog, &target, &Scope::new(target.account.clone(), customer.clone()))?;
    }
    let guarded = target.guarded(named.as_ref());
    let sent = Sent { method: head.method.as_str(), uri: &head.uri, headers: &head.headers, now };
    if let Some(answer) = handshake::of_target(guarded, sent)? {
        return Ok(Outcome::Answered(answer));
    }
    if handshake::may_hold_token(guarded, sent) {
        return handshake::keep_token(edge, guarded, &catalog, sent, body).await.map(Outcome::Answered);
    }
    let (scope, check) = prove(edge, &catalog, &target, named.as_ref(), sent)?;
    here(edge, &catalog, &target, &scope)?;
    let encoding = Encoding::of(&head.headers)?;
    let bytes_max = config.webhook_body_bytes_max;
    let received = body::receive(&head.headers, body, &edge.budget, bytes_max, config.body_time_max).await?;
    check.body(&received.bytes).map_err(|refusal| guarded.refused(&refusal))?;
    if let Some(answer) = handshake::of_verified(guarded, &received.bytes)? {
        return Ok(Outcome::Answered(answer));
    }
    // A trigger's own customer is nobody else's business, not even that it is gone.
    let scope = known_scope(&catalog, scope).map_err(|problem| match &target.trigger.customer {
        Some(_) => unknown(),
        None => problem,
    })?;
    let body = body::decode(received, encoding, bytes_max).await?;
    let event = parse_webhook(&head.headers, &body.bytes, &target.trigger.id, target.verification, scope, now)?;
    Ok(Outcome::Taken(Taken { events: vec![event], body, batch: false }))
}

/// Answers a GET that is a handshake.
pub(crate) fn ask(edge: &Edge, trigger: &str, request: &Request) -> Result<Option<Response>, Problem> {
    let catalog = edge.catalog();
    // What is no handshake is answered the same at every URL, whether there is a webhook or not.
    let Ok(target) = find(&catalog, trigger) else { return Ok(None) };
    let sent = Sent {
        method: request.method().as_str(),
        uri: request.uri(),
        headers: request.headers(),
        now: edge.parts.clock.now(),
    };
    let secrets = Secrets { catalog: &catalog, open: &edge.parts.secrets };
    handshake::of_get(target.guarded(target.trigger.customer.as_ref()), secrets, sent)
}

/// Whether senders to this trigger prove themselves by HTTP Basic, so that one that has not may be asked to.
pub(crate) fn asks_for_basic(edge: &Edge, trigger: &str) -> bool {
    let catalog = edge.catalog();
    find(&catalog, trigger).is_ok_and(|target| matches!(target.verification, Verification::Basic { .. }))
}

/// The enabled webhook trigger of this id. Everything else is one and the same answer.
fn find<'a>(catalog: &'a Catalog, trigger: &str) -> Result<Target<'a>, Problem> {
    let found = TriggerId::new(trigger).ok().and_then(|id| catalog.webhook(&id));
    match found.map(|(account, trigger)| (account, trigger, &trigger.spec.source)) {
        Some((account, trigger, TriggerSource::Webhook { verification, challenge }))
            if trigger.spec.status == Switch::Enabled =>
        {
            Ok(Target { account, trigger, verification, challenge: challenge.as_ref() })
        }
        _ => Err(unknown()),
    }
}

fn unknown() -> Problem {
    Problem::new(ErrorCode::NotFound, "There is no webhook here. Check the trigger id in the URL.")
}

/// Refuses what belongs into another region's cell. The customer is named only to whom named it.
fn here(edge: &Edge, catalog: &Catalog, target: &Target<'_>, scope: &Scope) -> Result<(), Problem> {
    edge.parts.residency.check(catalog, scope).map_err(|mut problem| {
        if target.trigger.customer.is_some() {
            problem.detail = "This webhook is served by the cell of another region.".to_owned();
        }
        problem
    })
}

/// Whom the request is for, and what its body has still to prove.
fn prove(
    edge: &Edge,
    catalog: &Catalog,
    target: &Target<'_>,
    named: Option<&CustomerId>,
    sent: Sent<'_>,
) -> Result<(Scope, Check), Problem> {
    if *target.verification == Verification::AccessKey {
        return Ok((by_access_key(catalog, target, named, sent)?, Check::Done));
    }
    let customer = named.ok_or_else(customer_missing)?;
    let secrets = Secrets { catalog, open: &edge.parts.secrets };
    let guarded = Guarded { customer: Some(customer), ..target.guarded(None) };
    let check = guarded.prove(secrets, sent)?;
    Ok((Scope::new(target.account.clone(), customer.clone()), check))
}

/// The trigger's customer, else the one in the customer header.
fn customer(target: &Target<'_>, headers: &HeaderMap) -> Result<Option<CustomerId>, Problem> {
    match &target.trigger.customer {
        Some(customer) => Ok(Some(customer.clone())),
        None => customer_header(headers),
    }
}

fn by_access_key(
    catalog: &Catalog,
    target: &Target<'_>,
    named: Option<&CustomerId>,
    sent: Sent<'_>,
) -> Result<Scope, Problem> {
    let refuse = || target.guarded(None).refused(&Refusal::AccessKey);
    let caller = authenticate(catalog, sent.headers, sent.now).map_err(|_| refuse())?;
    if caller.account != *target.account {
        return Err(refuse());
    }
    let customer = named.cloned().or_else(|| caller.customer.clone()).ok_or_else(customer_missing)?;
    if caller.customer.is_some_and(|own| own != customer) {
        return Err(refuse());
    }
    Ok(Scope::new(caller.account, customer))
}

/// The event of a verified request. Pure, so that it can be fuzzed.
///
/// Its id is the provider's delivery id, else the CloudEvents id, else a fresh one. A CloudEvent, in structured or in
/// binary mode, gives type, subject, time and data too; its own source stays as the header `ce-source`.
///
/// # Errors
/// `VALIDATION_ERROR`, `PAYLOAD_TOO_LARGE`, `UNSUPPORTED_MEDIA_TYPE` for CloudEvents in a batch or another format.
pub fn parse_webhook(
    headers: &HeaderMap,
    body: &[u8],
    trigger: &TriggerId,
    verification: &Verification,
    scope: Scope,
    now: Timestamp,
) -> Result<EventRecord, Problem> {
    let media = Media::of(headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes));
    let mut kept = kept(headers, verification)?;
    let mut draft = match media {
        Media::CloudEvent => {
            let text = std::str::from_utf8(body)
                .map_err(|_| crate::problem::invalid_part("body", "is not valid JSON: it is not UTF-8"))?;
            cloud_event(cloudevents::structured::read(text, String::new())?)
        }
        Media::CloudEventBatch | Media::CloudEventOther => {
            let detail = "A webhook takes one event. Send a batch of CloudEvents to /v1/events, as JSON.";
            return Err(Problem::new(ErrorCode::UnsupportedMediaType, detail));
        }
        _ if cloudevents::is_binary(headers) => {
            kept.retain(|header| !header.name.starts_with("ce-"));
            cloud_event(cloudevents::binary::read(headers, body)?)
        }
        _ => plain(data_of(media, body, "body")?),
    };
    if matches!(verification, Verification::Github { .. }) {
        draft.kind = github_kind(headers, &draft).unwrap_or(draft.kind);
    }
    draft.id = delivery::id(verification, headers, &draft.data).or(draft.id);
    draft.source = format!("webhook/{trigger}");
    kept.append(&mut draft.extensions);
    draft.extensions = kept;
    let (traceparent, tracestate) = (traceparent(headers), tracestate(headers));
    let trigger = Some(trigger.clone());
    let envelope = Envelope { scope, origin: Origin::Webhook, trigger, now, traceparent, tracestate };
    Ok(draft.into_record(&envelope, || new_event_id(now)))
}

fn plain(data: std::sync::Arc<str>) -> Draft {
    Draft {
        id: None,
        kind: TYPE_DEFAULT.to_owned(),
        source: String::new(),
        subject: None,
        time: None,
        extensions: Vec::new(),
        priority: None,
        data,
    }
}

/// Keeps the sender's own source as a header, since the event's source is the trigger.
fn cloud_event(mut draft: Draft) -> Draft {
    let value = std::mem::take(&mut draft.source);
    draft.extensions.push(fastn_domain::event::Header { name: "ce-source".to_owned(), value });
    draft
}

/// `github.<event>.<action>`, or without an action `github.<event>`.
fn github_kind(headers: &HeaderMap, draft: &Draft) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Payload<'a> {
        #[serde(borrow)]
        action: Option<std::borrow::Cow<'a, str>>,
    }
    let event = headers.get(github::EVENT)?.to_str().ok().filter(|event| is_type_part(event))?;
    let payload = serde_json::from_str::<Payload<'_>>(&draft.data).ok();
    match payload.and_then(|payload| payload.action).filter(|action| is_type_part(action)) {
        Some(action) => Some(format!("github.{event}.{action}")),
        None => Some(format!("github.{event}")),
    }
}

fn is_type_part(text: &str) -> bool {
    (1..=TYPE_PART_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}
