//! What providers ask before they send anything: that the URL is really one that waits for them.
//!
//! | provider        | asks                                              | is answered                                   |
//! |-----------------|---------------------------------------------------|-----------------------------------------------|
//! | Slack           | signed POST, `{"type": "url_verification"}`       | its `challenge`                               |
//! | Meta            | GET `?hub.mode=subscribe&hub.verify_token&…`      | `hub.challenge`, if the verify token is right |
//! | Microsoft Graph | POST `?validationToken`                           | the token                                     |
//! | Dropbox         | GET `?challenge`                                  | the challenge                                 |
//! | Notion          | unsigned POST, `{"verification_token": …}`        | 200; the token is stored as the secret        |
//!
//! Answers are plain text that no browser takes for anything else. Each handshake comes with its provider's scheme; at any
//! other URL the same request is like every other. A [`Challenge`] says a handshake that no scheme has: where the challenge
//! stands, and whether it comes back as text or as JSON.
//!
//! Sources: Slack docs, "url_verification event"; Meta for Developers, "Webhooks: Getting Started"; Microsoft Graph docs,
//! "notificationUrl validation"; Dropbox developer docs, "Webhooks"; Notion developer docs, "Webhooks".

use std::borrow::Cow;

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use fastn_contract::error::{ErrorCode, Problem};
use fastn_contract::verification::{Challenge, ChallengeAnswer, ChallengeIn, ChallengeWhen, Verification};
use fastn_domain::catalog::Catalog;
use fastn_domain::path::Path;
use serde_json::Value;

use crate::body::{self, Received};
use crate::edge::{Edge, NewSecret};
use crate::observe;
use crate::problem::{invalid_part, retry_after};
use crate::prove::{Guarded, Secrets};
use crate::verify::{Refusal, Sent, is_one_of, notion};

/// Longest challenge that is given back, and longest token that is kept.
const CHALLENGE_BYTES_MAX: usize = 4 * 1024;
/// Largest body of a handshake.
const HANDSHAKE_BODY_BYTES_MAX: usize = 8 * 1024;

/// The answer to a GET, if it is a handshake of this scheme.
///
/// # Errors
/// `EVT-WEBHOOK-AUTH-FAILED` for a wrong verify token, `VALIDATION_ERROR` for a challenge that is too long.
pub(crate) fn of_get(guarded: Guarded<'_>, secrets: Secrets<'_>, sent: Sent<'_>) -> Result<Option<Response>, Problem> {
    match guarded.verification {
        Verification::Dropbox { .. } => match parameter(sent, "challenge") {
            Some(challenge) => echo(guarded, "challenge", &challenge).map(Some),
            None => of_query(guarded, sent),
        },
        Verification::Meta { verify_token, .. } => {
            let Some(challenge) = parameter(sent, "hub.challenge") else { return of_query(guarded, sent) };
            let tokens = guarded.keys(secrets, verify_token)?;
            let given = parameter(sent, "hub.verify_token").unwrap_or_default();
            let subscribes = parameter(sent, "hub.mode").as_deref() == Some("subscribe");
            let right = is_one_of(given.as_bytes(), tokens.iter().map(String::as_bytes));
            if !right || given.is_empty() || !subscribes {
                return Err(guarded.refused(&Refusal::Mismatch));
            }
            echo(guarded, "hub.challenge", &challenge).map(Some)
        }
        _ => of_query(guarded, sent),
    }
}

/// The answer to a request whose query is the configured handshake.
fn of_query(guarded: Guarded<'_>, sent: Sent<'_>) -> Result<Option<Response>, Problem> {
    let Some(challenge) = guarded.challenge.filter(|challenge| challenge.place == ChallengeIn::Query) else {
        return Ok(None);
    };
    let holds = |when: &ChallengeWhen| parameter(sent, &when.field).is_some_and(|value| value == when.value);
    match parameter(sent, &challenge.field) {
        Some(value) if challenge.when.as_ref().is_none_or(holds) => respond(guarded, challenge, &value).map(Some),
        _ => Ok(None),
    }
}

/// The answer to a verified POST whose body is the configured handshake.
fn of_body(guarded: Guarded<'_>, body: &[u8]) -> Result<Option<Response>, Problem> {
    let asked = guarded.challenge.filter(|challenge| challenge.place == ChallengeIn::Body);
    let Some(challenge) = asked.filter(|_| body.len() <= HANDSHAKE_BODY_BYTES_MAX) else { return Ok(None) };
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return Ok(None) };
    let text = |path: &str| match Path::parse(path).ok()?.find(&body)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let holds = |when: &ChallengeWhen| text(&when.field).is_some_and(|value| value == when.value);
    match text(&challenge.field) {
        Some(value) if challenge.when.as_ref().is_none_or(holds) => respond(guarded, challenge, &value).map(Some),
        _ => Ok(None),
    }
}

/// Gives a challenge back as it is configured.
fn respond(guarded: Guarded<'_>, challenge: &Challenge, value: &str) -> Result<Response, Problem> {
    let text = echo(guarded, &challenge.field, value)?;
    if challenge.answer == ChallengeAnswer::Text {
        return Ok(text);
    }
    let field = challenge.answer_field.as_deref().unwrap_or("challenge");
    let nosniff = [(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))];
    Ok((nosniff, Json(serde_json::json!({ field: value }))).into_response())
}

/// The answer to a POST whose target alone is a handshake of this scheme.
///
/// # Errors
/// `VALIDATION_ERROR` for a token that is too long.
pub(crate) fn of_target(guarded: Guarded<'_>, sent: Sent<'_>) -> Result<Option<Response>, Problem> {
    if !matches!(guarded.verification, Verification::MicrosoftGraph { .. }) {
        return of_query(guarded, sent);
    }
    match parameter(sent, "validationToken") {
        Some(token) => echo(guarded, "validationToken", &token).map(Some),
        None => of_query(guarded, sent),
    }
}

/// The answer to a verified POST whose body is a handshake of this scheme.
///
/// # Errors
/// `VALIDATION_ERROR` for a challenge that is too long.
pub(crate) fn of_verified(guarded: Guarded<'_>, body: &[u8]) -> Result<Option<Response>, Problem> {
    #[derive(serde::Deserialize)]
    struct UrlVerification<'a> {
        #[serde(rename = "type", borrow)]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        challenge: Cow<'a, str>,
    }
    if !matches!(guarded.verification, Verification::Slack { .. }) || body.len() > HANDSHAKE_BODY_BYTES_MAX {
        return of_body(guarded, body);
    }
    match serde_json::from_slice::<UrlVerification<'_>>(body) {
        Ok(asked) if asked.kind == "url_verification" => echo(guarded, "challenge", &asked.challenge).map(Some),
        _ => of_body(guarded, body),
    }
}

/// Whether a POST may be the one with Notion's token: an unsigned one.
pub(crate) fn may_hold_token(guarded: Guarded<'_>, sent: Sent<'_>) -> bool {
    let notion = matches!(guarded.verification, Verification::Notion { .. });
    notion && !sent.headers.contains_key(notion::SIGNATURE)
}

/// Stores the token of Notion's first POST as the secret. The first one counts: from then on only what is signed with it
/// is taken, and whoever wants another one deletes the secret. The same token again is answered the same.
///
/// # Errors
/// `EVT-WEBHOOK-AUTH-FAILED` for a body that is no such POST, or when another one came first; `SERVICE_UNAVAILABLE` when
/// the secret could not be stored.
pub(crate) async fn keep_token(
    edge: &Edge,
    guarded: Guarded<'_>,
    catalog: &Catalog,
    sent: Sent<'_>,
    body: Body,
) -> Result<Response, Problem> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct First {
        verification_token: String,
    }
    let time_max = edge.parts.config.body_time_max;
    let unsigned = || guarded.refused(&Refusal::missing(notion::SIGNATURE));
    let received = body::receive(sent.headers, body, &edge.budget, HANDSHAKE_BODY_BYTES_MAX, time_max).await;
    let received: Received = received.map_err(|problem| match problem.code {
        ErrorCode::PayloadTooLarge => unsigned(),
        _ => problem,
    })?;
    let first: First = serde_json::from_slice(&received.bytes).map_err(|_| unsigned())?;
    let sound = (1..=CHALLENGE_BYTES_MAX).contains(&first.verification_token.len());
    if let (true, Verification::Notion { secret }) = (sound, guarded.verification) {
        let secrets = Secrets { catalog, open: &edge.parts.secrets };
        let known = secret.names().iter().any(|name| guarded.newest(catalog, name).is_some());
        let keys = if known { guarded.keys(secrets, secret)? } else { Vec::new() };
        if is_one_of(first.verification_token.as_bytes(), keys.iter().map(String::as_bytes)) {
            return Ok(StatusCode::OK.into_response());
        }
    }
    let name = free_name(guarded, catalog).filter(|_| sound).ok_or_else(unsigned)?;
    let secret = NewSecret {
        account: guarded.account.clone(),
        customer: guarded.customer.cloned(),
        name: name.to_owned(),
        value: first.verification_token,
    };
    match (edge.parts.keep_secret)(secret).await {
        Ok(true) => {
            observe::handshake(guarded.verification.scheme());
            observe::token_kept(guarded.name, name);
            Ok(StatusCode::OK.into_response())
        }
        Ok(false) => Err(unsigned()),
        Err(reason) => {
            observe::secret_unusable(guarded.name, name, &reason);
            let detail = "The verification token could not be stored. Ask Notion to send it again later.";
            Err(retry_after(Problem::new(ErrorCode::ServiceUnavailable, detail), 10))
        }
    }
}

/// The first name of the scheme's secret under which there is none.
fn free_name<'a>(guarded: Guarded<'a>, catalog: &Catalog) -> Option<&'a str> {
    let Verification::Notion { secret } = guarded.verification else { return None };
    secret.names().iter().map(String::as_str).find(|name| guarded.newest(catalog, name).is_none())
}

/// A parameter of the query, decoded.
fn parameter<'a>(sent: Sent<'a>, name: &str) -> Option<Cow<'a, str>> {
    let query = sent.uri.query()?;
    form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value)
}

fn echo(guarded: Guarded<'_>, name: &str, challenge: &str) -> Result<Response, Problem> {
    if challenge.is_empty() || challenge.len() > CHALLENGE_BYTES_MAX {
        return Err(invalid_part(name, format!("must be 1 to {CHALLENGE_BYTES_MAX} bytes")));
    }
    observe::handshake(guarded.verification.scheme());
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, challenge.to_owned()).into_response())
}
