//! A connector app checked once, and whom its events are for.
//!
//! ```text
//!   payload ─ eventKey ─▶ event ─ mappedTo ─▶ account ─▶ the app's triggers of both ─▶ their customers
//!              │            │                  │
//!              ▼            ▼                  ▼
//!           unnamed      unknown           unroutable
//! ```

use fastn_contract::error::FieldError;
use fastn_contract::resource::{App, RequestTemplate, Switch, TriggerSource};
use serde_json::Value;

use super::trigger::CompiledTrigger;
use super::{challenge, verification};
use crate::ids::{AppId, CustomerId, EVENT_ID_BYTES_MAX};
use crate::path::Path;
use crate::{event, template};

/// The type of an event of an app that does not name its events.
pub const APP_EVENT_UNNAMED: &str = "app.event";
/// What the source of an app's events starts with; its id follows.
pub const APP_SOURCE_PREFIX: &str = "app/";
/// Most events of one app.
const EVENTS_MAX: usize = 1_000;
/// Most headers of one request of a subscription.
const HEADERS_MAX: usize = 32;

/// An app as the edge uses it.
#[derive(Clone, Debug)]
pub struct CompiledApp {
    /// Its id.
    pub id: AppId,
    /// As it was written.
    pub spec: App,
    event_key: Option<Path>,
    mapped_to: Option<Path>,
}

/// Where a payload of an app goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Nowhere: it does not say which event it is.
    Unnamed,
    /// Nowhere: it is none of the app's events.
    Unknown,
    /// Nowhere: it does not say whose it is.
    Unroutable,
    /// To the triggers of this event and this account; of every event or every account where there is none.
    To {
        /// The event, unless the app does not name its events.
        event: Option<String>,
        /// The account, unless the app does not say whose its events are.
        account: Option<String>,
    },
}

impl CompiledApp {
    /// Where a payload goes.
    pub fn routing(&self, payload: &Value) -> Routing {
        let event = match &self.event_key {
            None => None,
            Some(path) => match path.find(payload).and_then(plain_text) {
                None => return Routing::Unnamed,
                Some(event) if !self.sends(&event) => return Routing::Unknown,
                event => event,
            },
        };
        match &self.mapped_to {
            None => Routing::To { event, account: None },
            Some(path) => match path.find(payload).and_then(plain_text) {
                None => Routing::Unroutable,
                account => Routing::To { event, account },
            },
        }
    }

    /// Why an event of this app went to no customer: it was `event` of `account`, as far as that was known.
    pub fn nowhere(&self, event: &str, account: Option<&str>, payload: &Value) -> String {
        let key = |text: &Option<String>| text.clone().unwrap_or_default();
        if let Some(account) = account {
            return format!("no trigger listens to {event} of account {account}");
        }
        match self.routing(payload) {
            Routing::Unnamed => format!("the payload names no event at {}", key(&self.spec.event_key)),
            Routing::Unknown => {
                let named = self.event_key.as_ref().and_then(|path| path.find(payload)).and_then(plain_text);
                format!("{} is none of the app's events", named.unwrap_or_default())
            }
            Routing::Unroutable => format!("the payload names no account at {}", key(&self.spec.mapped_to)),
            Routing::To { .. } => format!("no trigger listens to {event}"),
        }
    }

    /// Whether it sends an event of this id.
    pub fn sends(&self, event: &str) -> bool {
        self.spec.events.iter().any(|known| known.id == event)
    }

    /// Whether its events say whose they are.
    pub fn maps_accounts(&self) -> bool {
        self.mapped_to.is_some()
    }
}

/// A text or a number as text: apps write account ids either way.
fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() && text.len() <= EVENT_ID_BYTES_MAX => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The app whose event has this source.
pub fn app_of_source(source: &str) -> Option<AppId> {
    AppId::new(source.strip_prefix(APP_SOURCE_PREFIX)?).ok()
}

/// The source of an app's events.
pub fn app_source(app: &AppId) -> String {
    format!("{APP_SOURCE_PREFIX}{app}")
}

impl CompiledTrigger {
    /// The account at `app` that this trigger listens to, if it listens to `app`.
    pub fn app_account(&self) -> Option<(&str, Option<&str>)> {
        match &self.spec.source {
            TriggerSource::AppEvent { app, account_id, .. } => Some((app, account_id.as_deref())),
            _ => None,
        }
    }

    /// Whether this app-event trigger is on and listens to an event of this type. The app and the account are the index's
    /// to compare, see [`super::AccountCatalog::app_triggers`].
    pub fn hears(&self, kind: &str) -> bool {
        match &self.spec.source {
            TriggerSource::AppEvent { event, .. } => {
                self.spec.status == Switch::Enabled && (kind == APP_EVENT_UNNAMED || kind == event)
            }
            _ => false,
        }
    }

    /// Whether an event of this customer comes here.
    pub fn serves(&self, customer: &CustomerId) -> bool {
        self.customer.as_ref().is_none_or(|own| own == customer)
    }
}

/// Checks `spec` as a whole and compiles it.
///
/// # Errors
/// Every part that is not valid, with its path into the body.
pub fn compile_app(spec: App) -> Result<CompiledApp, Vec<FieldError>> {
    let mut errors = Vec::new();
    let mut complain = |path: &str, message: String| errors.push(FieldError { path: path.to_owned(), message });
    let id = AppId::new(&spec.id).map_err(|error| complain("id", error.to_string())).ok();
    let mut path = |field: &str, text: &Option<String>| {
        let text = text.as_deref()?;
        Path::parse(text).map_err(|error| complain(field, error.to_string())).ok()
    };
    let event_key = path("eventKey", &spec.event_key);
    let mapped_to = path("mappedTo", &spec.mapped_to);
    let _checked = path("subscription.idPath", &spec.subscription.as_ref().and_then(|own| own.id_path.clone()));
    verification::check("verification", &spec.verification, &mut complain);
    challenge::check("challenge", spec.challenge.as_ref(), &mut complain);
    check_events(&spec, &mut complain);
    if let Some(subscription) = &spec.subscription {
        check_request("subscription.subscribe", &subscription.subscribe, &mut complain);
        if let Some(unsubscribe) = &subscription.unsubscribe {
            check_request("subscription.unsubscribe", unsubscribe, &mut complain);
        }
    }
    match id {
        Some(id) if errors.is_empty() => Ok(CompiledApp { id, spec, event_key, mapped_to }),
        _ => Err(errors),
    }
}

fn check_events(spec: &App, complain: &mut impl FnMut(&str, String)) {
    if spec.events.is_empty() || spec.events.len() > EVENTS_MAX {
        complain("events", format!("an app has 1 to {EVENTS_MAX} events"));
    }
    let mut seen = std::collections::HashSet::new();
    for (at, own) in spec.events.iter().enumerate() {
        let reserved = own.id == APP_EVENT_UNNAMED || own.id.starts_with(event::TYPE_PREFIX_RESERVED);
        let id = &own.id;
        if id.is_empty() || id.len() > EVENT_ID_BYTES_MAX || id.chars().any(char::is_control) || reserved {
            let message = format!("must be 1 to {EVENT_ID_BYTES_MAX} bytes, not {APP_EVENT_UNNAMED}, not fastn.…");
            complain(&format!("events[{at}].id"), message);
        }
        if !seen.insert(id) {
            complain(&format!("events[{at}].id"), "stands there twice".to_owned());
        }
    }
}

fn check_request(path: &str, request: &RequestTemplate, complain: &mut impl FnMut(&str, String)) {
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&request.method.as_str()) {
        complain(&format!("{path}.method"), "must be GET, POST, PUT, PATCH or DELETE".to_owned());
    }
    if !(request.url.starts_with("https://") || request.url.starts_with("http://")) {
        complain(&format!("{path}.url"), "must start with https:// or http://".to_owned());
    }
    let mut text = |part: String, text: &str| {
        if let Err(message) = template::check(text) {
            complain(&part, message);
        }
    };
    text(format!("{path}.url"), &request.url);
    for (name, value) in &request.headers {
        text(format!("{path}.headers.{name}"), value);
    }
    let mut texts = Vec::new();
    request.body.iter().for_each(|body| texts_of(body, &mut texts));
    texts.into_iter().for_each(|part| text(format!("{path}.body"), part));
    if request.headers.len() > HEADERS_MAX {
        complain(&format!("{path}.headers"), format!("are more than {HEADERS_MAX}"));
    }
}

fn texts_of<'v>(value: &'v Value, texts: &mut Vec<&'v str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| texts_of(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| texts_of(field, texts)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn app(settings: Value) -> Result<CompiledApp, Vec<FieldError>> {
        let mut body = json!({"id": "hub", "events": [{"id": "contact.created"}, {"id": "7"}]});
        body.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
        compile_app(serde_json::from_value(body).unwrap())
    }

    fn to(event: Option<&str>, account: Option<&str>) -> Routing {
        Routing::To { event: event.map(str::to_owned), account: account.map(str::to_owned) }
    }

    /// Property: a payload goes where its event and its account say, and nowhere when it names none of the app's.
    #[test]
    fn routes_payloads() {
        let hub = app(json!({"eventKey": "meta.type", "mappedTo": "portalId"})).unwrap();
        for (payload, expected) in [
            (json!({"meta": {"type": "contact.created"}, "portalId": "p1"}), to(Some("contact.created"), Some("p1"))),
            (json!({"meta": {"type": 7}, "portalId": 62_515}), to(Some("7"), Some("62515"))),
            (json!({"meta": {"type": "contact.gone"}, "portalId": "p1"}), Routing::Unknown),
            (json!({"meta": {"type": null}, "portalId": "p1"}), Routing::Unnamed),
            (json!({"portalId": "p1"}), Routing::Unnamed),
            (json!({"meta": {"type": "contact.created"}}), Routing::Unroutable),
            (json!({"meta": {"type": "contact.created"}, "portalId": {}}), Routing::Unroutable),
            (json!(null), Routing::Unnamed),
        ] {
            assert_eq!(hub.routing(&payload), expected, "{payload}");
        }
        assert_eq!(app(json!({})).unwrap().routing(&json!({})), to(None, None));
    }

    /// Property: every part that is not valid is named with its own path.
    #[test]
    fn complains_about_every_part() {
        let request = json!({"url": "ftp://x", "method": "POKE", "headers": {"a": "{{no}}"}, "body": {"x": ["{{b"]}});
        let errors = app(json!({
            "id": "a/b", "eventKey": "a..b", "mappedTo": "[", "verification": {"scheme": "stripe", "secret": ""},
            "events": [{"id": ""}, {"id": "app.event"}, {"id": "x"}, {"id": "x"}],
            "subscription": {"subscribe": request, "idPath": "a..b"}
        }))
        .unwrap_err();
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "id",
                "eventKey",
                "mappedTo",
                "subscription.idPath",
                "verification.secret",
                "events[0].id",
                "events[1].id",
                "events[3].id",
                "subscription.subscribe.method",
                "subscription.subscribe.url",
                "subscription.subscribe.headers.a",
                "subscription.subscribe.body"
            ]
        );
    }
}
