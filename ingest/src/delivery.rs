//! The id that a provider gives a delivery, the same when it is sent again: with it a repeat is a duplicate.

use std::borrow::Cow;

use axum::http::HeaderMap;
use fastn_contract::verification::Verification;
use fastn_domain::EventId;

use crate::verify::{github, linear, shopify, standard_webhooks, twilio, zendesk};

/// Where the id stands.
enum Place<'a> {
    Header(&'a str),
    /// A field of the body's object.
    Field(&'static str),
}

/// The id of a delivery whose body became `data`, where the scheme has one.
pub(crate) fn id(verification: &Verification, headers: &HeaderMap, data: &str) -> Option<EventId> {
    let place = match verification {
        Verification::Github { .. } => Place::Header(github::DELIVERY),
        Verification::StandardWebhooks { .. } => Place::Header(standard_webhooks::ID),
        Verification::Svix { .. } if headers.contains_key(standard_webhooks::SVIX_ID) => {
            Place::Header(standard_webhooks::SVIX_ID)
        }
        Verification::Svix { .. } => Place::Header(standard_webhooks::ID),
        Verification::Shopify { .. } => Place::Header(shopify::DELIVERY),
        Verification::Twilio { .. } => Place::Header(twilio::DELIVERY),
        Verification::Linear { .. } => Place::Header(linear::DELIVERY),
        Verification::Zendesk { .. } => Place::Header(zendesk::DELIVERY),
        Verification::Hmac(scheme) => Place::Header(scheme.id_header.as_deref()?),
        Verification::Stripe { .. } | Verification::Notion { .. } => Place::Field("id"),
        Verification::Slack { .. } => Place::Field("event_id"),
        _ => return None,
    };
    match place {
        Place::Header(name) => EventId::new(headers.get(name)?.to_str().ok()?).ok(),
        Place::Field(name) => field(data, name),
    }
}

fn field(data: &str, name: &'static str) -> Option<EventId> {
    #[derive(serde::Deserialize)]
    struct Ids<'a> {
        #[serde(borrow)]
        id: Option<Cow<'a, str>>,
        #[serde(borrow)]
        event_id: Option<Cow<'a, str>>,
    }
    let ids: Ids<'_> = serde_json::from_str(data).ok()?;
    EventId::new(&if name == "id" { ids.id } else { ids.event_id }?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// Property: every scheme that has an id gives it, and what is no id gives none.
    #[test]
    fn every_scheme() {
        let none: &[(&'static str, &str)] = &[];
        for (scheme, headers, data, expected) in [
            (
                json!({"scheme": "github", "secret": "S"}),
                &[("x-github-delivery", "g")] as &[(&'static str, &str)],
                "{}",
                Some("g"),
            ),
            (json!({"scheme": "standardWebhooks", "secret": "S"}), &[("webhook-id", "w")], "{}", Some("w")),
            (json!({"scheme": "svix", "secret": "S"}), &[("svix-id", "v"), ("webhook-id", "w")], "{}", Some("v")),
            (json!({"scheme": "svix", "secret": "S"}), &[("webhook-id", "w")], "{}", Some("w")),
            (json!({"scheme": "shopify", "secret": "S"}), &[("x-shopify-webhook-id", "s")], "{}", Some("s")),
            (json!({"scheme": "twilio", "secret": "S"}), &[("i-twilio-idempotency-token", "t")], "{}", Some("t")),
            (json!({"scheme": "linear", "secret": "S"}), &[("linear-delivery", "l")], "{}", Some("l")),
            (json!({"scheme": "zendesk", "secret": "S"}), &[("x-zendesk-webhook-invocation-id", "z")], "{}", Some("z")),
            (
                json!({"scheme": "hmac", "secret": "S", "header": "h", "idHeader": "x-id"}),
                &[("x-id", "h")],
                "{}",
                Some("h"),
            ),
            (json!({"scheme": "hmac", "secret": "S", "header": "h"}), none, "{\"id\":\"x\"}", None),
            (json!({"scheme": "stripe", "secret": "S"}), none, "{\"id\":\"evt_1\"}", Some("evt_1")),
            (json!({"scheme": "slack", "secret": "S"}), none, "{\"id\":\"x\",\"event_id\":\"Ev1\"}", Some("Ev1")),
            (json!({"scheme": "stripe", "secret": "S"}), none, "{\"id\":7}", None),
            (json!({"scheme": "stripe", "secret": "S"}), none, "[]", None),
            (json!({"scheme": "public"}), none, "{\"id\":\"x\"}", None),
        ] {
            let verification: Verification = serde_json::from_value::<Verification>(Value::clone(&scheme)).unwrap();
            let headers = headers.iter().map(|(name, value)| {
                (axum::http::HeaderName::from_static(name), axum::http::HeaderValue::from_str(value).unwrap())
            });
            let found = id(&verification, &headers.collect(), data);
            assert_eq!(found.as_ref().map(EventId::as_str), expected, "{scheme}");
        }
    }
}
