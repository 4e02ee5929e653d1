//! Microsoft Graph: no signature; each notification repeats the `clientState` that the subscription was made with.
//!
//! Source: Microsoft Graph docs, "Receive change notifications through webhooks", processing the change notification.

use super::{Refusal, is_one_of};

/// The field that holds the shared text.
const STATE: &str = "clientState";

/// Checks that every notification of the body holds one of `states`.
pub(crate) fn check(states: &[String], body: &[u8]) -> Result<(), Refusal> {
    #[derive(serde::Deserialize)]
    struct Notifications {
        value: Vec<Notification>,
    }
    #[derive(serde::Deserialize)]
    struct Notification {
        #[serde(rename = "clientState")]
        client_state: Option<String>,
    }
    if states.iter().any(String::is_empty) {
        return Err(Refusal::BadKey);
    }
    let notifications: Notifications = serde_json::from_slice(body).map_err(|_| Refusal::malformed(STATE))?;
    if notifications.value.is_empty() {
        return Err(Refusal::malformed(STATE));
    }
    let right = notifications.value.iter().fold(true, |right, one| {
        let given = one.client_state.as_deref().unwrap_or("").as_bytes();
        right & is_one_of(given, states.iter().map(String::as_bytes))
    });
    if right { Ok(()) } else { Err(Refusal::Mismatch) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: the documented notification passes with its own state, and one notification without it refuses all.
    #[test]
    fn documented_notification() {
        let own =
            r#"{"id":"lsgTZMr9KwAAA","subscriptionId":"<subscription_guid>","clientState":"<secretClientState>"}"#;
        let states = ["<secretClientState>".to_owned(), "old".to_owned()];
        assert_eq!(check(&states, format!("{{\"value\":[{own},{{\"clientState\":\"old\"}}]}}").as_bytes()), Ok(()));
        for bad in
            [format!("[{own},{{}}]"), format!("[{own},{{\"clientState\":\"x\"}}]"), "[{\"clientState\":\"\"}]".into()]
        {
            let body = format!("{{\"value\":{bad}}}");
            assert_eq!(check(&states, body.as_bytes()), Err(Refusal::Mismatch), "{bad}");
        }
        for bad in ["{\"value\":[]}", "{}", "", "[]"] {
            assert_eq!(check(&states, bad.as_bytes()), Err(Refusal::malformed(STATE)), "{bad}");
        }
        assert_eq!(check(&[String::new()], b"{\"value\":[{\"clientState\":\"\"}]}"), Err(Refusal::BadKey));
    }
}
