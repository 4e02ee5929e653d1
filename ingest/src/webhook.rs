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
use fastn_contract::activity::Origin;
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::resource::{Switch, TriggerSource, Verification};
use fastn_domain::catalog::{Catalog, CompiledTrigger};
use fastn_domain::event::EventRecord;
use fastn_domain::{AccountId, CustomerId, EventId, Scope, Timestamp, TriggerId};

use crate::auth::{authenticate, customer_header, customer_missing, known_scope};
use crate::body::{self, Encoding};
use crate::draft::{Draft, Envelope};
use crate::edge::{Edge, OpenSecret, SecretAt, Taken};
use crate::event_id::new_event_id;
use crate::kept_headers::{kept, traceparent};
use crate::payload::{Media, data_of};
use crate::problem::retry_after;
use crate::verify::{Refusal, Signed, github, standard_webhooks};
use crate::{cloudevents, observe};

/// The type of a webhook that says none itself.
const TYPE_DEFAULT: &str = "webhook.received";
/// Longest part of a type that is taken from a request.
const TYPE_PART_BYTES_MAX: usize = 64;

/// A trigger and who is asking for it.
struct Target<'a> {
    account: &'a AccountId,
    trigger: &'a CompiledTrigger,
    verification: &'a Verification,
}

/// What the headers proved, and what is left for the body to prove.
struct Proof {
    scope: Scope,
    signed: Option<Signed>,
}

/// Reads a request into the event that is ready to be stored.
pub(crate) async fn take(edge: &Edge, trigger: &str, request: Request) -> Result<Taken, Problem> {
    let (head, body) = request.into_parts();
    let config = &edge.parts.config;
    let now = edge.parts.clock.now();
    let catalog = edge.catalog();
    let target = find(&catalog, trigger)?;
    if let Some(customer) = customer(&target, &head.headers)? {
        // Before its signature: what verifies it lies in the customer's own cell.
        edge.parts.residency.check(&catalog, &Scope::new(target.account.clone(), customer))?;
    }
    let proof = prove(&catalog, &target, &edge.parts.secrets, &head.headers, now)?;
    edge.parts.residency.check(&catalog, &proof.scope)?;
    let encoding = Encoding::of(&head.headers)?;
    let bytes_max = config.webhook_body_bytes_max;
    let received = body::receive(&head.headers, body, &edge.budget, bytes_max, config.body_time_max).await?;
    if let Some(signed) = &proof.signed {
        signed.check(&received.bytes).map_err(|refusal| refused(&target, refusal))?;
    }
    let scope = known_scope(&catalog, proof.scope)?;
    let body = body::decode(received, encoding, bytes_max).await?;
    let event = parse_webhook(&head.headers, &body.bytes, &target.trigger.id, target.verification, scope, now)?;
    Ok(Taken { events: vec![event], body, batch: false })
}

/// The enabled webhook trigger of this id. Everything else is one and the same answer.
fn find<'a>(catalog: &'a Catalog, trigger: &str) -> Result<Target<'a>, Problem> {
    let found = TriggerId::new(trigger).ok().and_then(|id| catalog.webhook(&id));
    match found.map(|(account, trigger)| (account, trigger, &trigger.spec.source)) {
        Some((account, trigger, TriggerSource::Webhook { verification })) if trigger.spec.status == Switch::Enabled => {
            Ok(Target { account, trigger, verification })
        }
        _ => Err(Problem::new(ErrorCode::NotFound, "There is no webhook here. Check the trigger id in the URL.")),
    }
}

fn prove(
    catalog: &Catalog,
    target: &Target<'_>,
    secrets: &OpenSecret,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Proof, Problem> {
    if *target.verification == Verification::AccessKey {
        let scope = by_access_key(catalog, target, headers, now)?;
        return Ok(Proof { scope, signed: None });
    }
    let customer = customer(target, headers)?.ok_or_else(customer_missing)?;
    let scope = Scope::new(target.account.clone(), customer);
    let open = |name: &str| open_secret(catalog, target, secrets, &scope.customer, name);
    let signed = match target.verification {
        Verification::Public | Verification::AccessKey => None,
        Verification::Github { secret } => Some(github::signed(&open(secret)?, headers)),
        Verification::StandardWebhooks { secret } => Some(standard_webhooks::signed(&open(secret)?, headers, now)),
    };
    let signed = signed.transpose().map_err(|refusal| refused(target, refusal))?;
    Ok(Proof { scope, signed })
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
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<Scope, Problem> {
    let refuse = || refused(target, Refusal::AccessKey);
    let caller = authenticate(catalog, headers, now).map_err(|_| refuse())?;
    if caller.account != *target.account {
        return Err(refuse());
    }
    let customer = customer(target, headers)?.or_else(|| caller.customer.clone()).ok_or_else(customer_missing)?;
    if caller.customer.is_some_and(|own| own != customer) {
        return Err(refuse());
    }
    Ok(Scope::new(caller.account, customer))
}

/// Opens the trigger's signing secret: the customer's own before the account's.
fn open_secret(
    catalog: &Catalog,
    target: &Target<'_>,
    secrets: &OpenSecret,
    customer: &CustomerId,
    name: &str,
) -> Result<String, Problem> {
    let account = catalog.account(target.account);
    let newest = [Some(customer), None].into_iter().find_map(|customer| {
        let secret = account?.secrets.get(&(customer.cloned(), name.to_owned()))?;
        let (version, sealed) = secret.versions.last_key_value()?;
        Some(SecretAt { account: target.account, customer, name, version: *version, sealed })
    });
    let Some(newest) = newest else {
        observe::secret_unusable(target.trigger.id.as_str(), name, "it does not exist");
        return Err(refused(target, Refusal::NoKey));
    };
    secrets(newest).map_err(|reason| {
        observe::secret_unusable(target.trigger.id.as_str(), name, &reason);
        let detail = "The trigger's signing secret cannot be opened now. Nothing was taken; send it again later.";
        retry_after(Problem::new(ErrorCode::ServiceUnavailable, detail), 60)
    })
}

fn refused(target: &Target<'_>, refusal: Refusal) -> Problem {
    let scheme = match target.verification {
        Verification::AccessKey => "access_key",
        Verification::Public => "public",
        Verification::Github { .. } => "github",
        Verification::StandardWebhooks { .. } => "standard_webhooks",
    };
    observe::verification_failed(scheme, target.trigger.id.as_str(), refusal.label());
    Problem::new(ErrorCode::WebhookAuthFailed, refusal.detail())
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
    let mut kept = kept(headers)?;
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
    let delivery = match verification {
        Verification::Github { .. } => {
            draft.kind = github_kind(headers, &draft).unwrap_or(draft.kind);
            headers.get(github::DELIVERY)
        }
        Verification::StandardWebhooks { .. } => headers.get(standard_webhooks::ID),
        Verification::AccessKey | Verification::Public => None,
    };
    let delivery = delivery.and_then(|value| EventId::new(value.to_str().ok()?).ok());
    draft.id = delivery.or(draft.id);
    draft.source = format!("webhook/{trigger}");
    kept.append(&mut draft.extensions);
    draft.extensions = kept;
    let traceparent = traceparent(headers);
    let trigger = Some(trigger.clone());
    let envelope = Envelope { scope, origin: Origin::Webhook, trigger, now, traceparent, tracestate: None };
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
