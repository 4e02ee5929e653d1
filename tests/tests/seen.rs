//! What people see of events that started nothing, and of quotas that are nearly used up: on a real embedded node, through
//! the public API.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

use std::time::Duration;

use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::{EventStatus, EventView};
use fastn_sdk::contract::alert::{AlertRule, AlertState};
use fastn_sdk::contract::app::SendAppEvent;
use fastn_sdk::contract::command::SendEvent;
use fastn_sdk::contract::error::ErrorCode;
use fastn_sdk::contract::resource::{App, SecretWrite, SubscriptionState, Trigger};
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use fastn_tests::{Sink, until};
use serde_json::{Value, json};

const NOTHING: &str = "export default async function () {}";

async fn event(client: &Fastn, id: &str) -> anyhow::Result<EventView> {
    until(id, async || Ok(client.event(id).await.ok())).await
}

/// Property: an app's event that goes to no customer is shown among the account's events, with the reason, and to no
/// customer; it belongs to nobody, whom nobody can be. The list of triggers tells what the app answered to its subscription.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_nowhere_is_shown_with_the_reason() -> anyhow::Result<()> {
    let server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_customer(&client, "cus", json!({})).await?;
    put_workflow(&client, "sync", json!({}), NOTHING).await?;
    let app: App = serde_json::from_value(json!({
        "id": "hub", "eventKey": "kind", "mappedTo": "portal", "events": [{"id": "made"}],
        "subscription": {"subscribe": {"url": "http://127.0.0.1:1/hooks"}},
    }))?;
    let endpoint = client.put_app(&app).await?.body.endpoint.unwrap();
    let trigger: Trigger = serde_json::from_value(json!({
        "id": "heard", "customer": "cus", "routes": [{"workflow": "sync"}],
        "source": {"type": "appEvent", "app": "hub", "event": "made", "accountId": "p1"},
    }))?;
    assert_eq!(client.put_trigger(&trigger).await?.subscription, Some(SubscriptionState::Failed));
    let listed = client.triggers().take(10).await?;
    let shown = |id: &str| listed.iter().find(|trigger| trigger.body.id == id).unwrap().subscription;
    assert_eq!((shown("heard"), shown("on_sync")), (Some(SubscriptionState::Failed), None));

    let sent: SendAppEvent =
        serde_json::from_value(json!({"id": "sent", "app": "hub", "event": "made", "accountId": "p9"}))?;
    assert_eq!(client.send_app_event(&sent).await?.unroutable, 1);
    let body = json!([{"kind": "made", "portal": "p1"}, {"kind": "other"}, {}, {"kind": "made"}]);
    let url = format!("{}/v1/apps/{endpoint}/events", client.url().trim_end_matches('/'));
    let request = reqwest::Client::new().post(url).header("x-fastn-access-key", server.access_key()?);
    let answer: Value = request.json(&body).send().await?.json().await?;
    assert_eq!((&answer["dispatched"], &answer["eventIds"][0].is_string()), (&json!(1), &true), "{answer}");

    let all = until("five events", async || {
        let events = client.events().take(100).await?;
        Ok((events.len() >= 5).then_some(events))
    })
    .await?;
    let nowhere: Vec<&EventView> = all.iter().filter(|event| event.customer.is_empty()).collect();
    let mut reasons: Vec<&str> = nowhere.iter().filter_map(|event| event.reason.as_deref()).collect();
    reasons.sort_unstable();
    let expected = [
        "unroutable: no trigger listens to made of account p9",
        "unroutable: other is none of the app's events",
        "unroutable: the payload names no account at portal",
        "unroutable: the payload names no event at kind",
    ];
    assert_eq!(reasons, expected, "{all:?}");
    assert!(nowhere.iter().all(|event| event.status == EventStatus::Rejected && event.source == "app/hub"));
    let one = event(&client, "sent").await?;
    assert_eq!((one.kind.as_str(), one.subject.as_deref()), ("made", Some("p9")));

    let own = client.customer("cus").events().take(100).await?;
    assert_eq!(own.len(), 1, "{own:?}");
    let refused = put_customer(&client, "@none", json!({})).await.unwrap_err();
    let code = refused.downcast_ref::<fastn_sdk::Error>().and_then(|error| error.code);
    assert_eq!(code, Some(ErrorCode::ValidationError));
    let usage = client.usage().take(100).await?;
    assert!(usage.iter().all(|row| row.customer != "@none"), "{usage:?}");
    Ok(())
}

/// Property: an event keeps its priority when a quota refuses it and it is replayed.
#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_event_keeps_its_priority() -> anyhow::Result<()> {
    let server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    put_workflow(&client, "sync", json!({}), NOTHING).await?;
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 1}}})).await?;
    let customer = client.customer("cus");
    let sent = json!({"id": "once", "type": "sync", "priority": "P4", "data": {}});
    let first: SendEvent = serde_json::from_value(json!({"id": "first", "type": "sync", "data": {}}))?;
    customer.send(&first).await?;
    customer.send(&serde_json::from_value(sent)?).await?;
    let refused = event(&customer, "once").await?;
    assert_eq!((refused.status, refused.priority.map(|one| one.as_str())), (EventStatus::Rejected, Some("P4")));
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 10}}})).await?;
    customer.replay_event("once").await?;
    let taken = until("the replayed event is delivered", async || {
        let event = customer.event("once").await?;
        Ok((event.status == EventStatus::Delivered).then_some(event))
    })
    .await?;
    assert_eq!(taken.priority.map(|one| one.as_str()), Some("P4"));
    Ok(())
}

/// Property: a rule on the use of a quota fires through the API's own doors when a customer has used so much of its limit,
/// also of what it used before the rule was made, and is resolved once the limit is raised. What cannot be watched is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_is_nearly_used_up_alerts() -> anyhow::Result<()> {
    let server = Cluster::start(&Plan::embedded()).await?;
    let client = server.client("api")?;
    let sink = Sink::start(Duration::ZERO).await?;
    put_workflow(&client, "sync", json!({}), NOTHING).await?;
    for (id, limit) in [("cus", 10), ("other", 100)] {
        put_customer(&client, id, json!({"quotas": {"eventsPerDay": {"limit": limit}}})).await?;
        let events = (0..8).map(|n| json!({"id": format!("e-{n}"), "type": "sync", "data": {}}));
        let events: Vec<SendEvent> = events.map(serde_json::from_value).collect::<Result<_, _>>()?;
        client.customer(id).send_many(&events).await?;
        event(&client.customer(id), "e-7").await?;
    }
    let value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    client.put_secret(&SecretWrite { name: "HOOK".to_owned(), value, customer: None }).await?;
    let rule = |dimension: Option<&str>| {
        let channel = json!({"type": "webhook", "url": format!("{}/hook", sink.url), "secret": "HOOK"});
        serde_json::from_value::<AlertRule>(json!({"id": "use", "status": "enabled", "metric": "quota_use",
            "dimension": dimension, "threshold": 75, "window": "1m", "resolveAfter": "0s", "channels": [channel]}))
    };
    for unknown in [None, Some("stepsPerExecution")] {
        let refused = client.put_alert_rule(&rule(unknown)?).await.unwrap_err();
        assert_eq!(refused.code, Some(ErrorCode::ValidationError));
    }
    client.put_alert_rule(&rule(Some("eventsPerDay"))?).await?;
    let alert = until("it fires", async || Ok(client.alerts().take(10).await?.into_iter().next())).await?;
    assert_eq!((alert.value, alert.value_of.as_deref()), (80.0, Some("cus")), "{alert:?}");
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 100}}})).await?;
    until("it is resolved", async || {
        let alerts = client.alerts().take(10).await?;
        assert_eq!(alerts.len(), 1, "{alerts:?}");
        Ok((alerts[0].state == AlertState::Resolved).then_some(()))
    })
    .await?;
    let told = until("both were told", async || Ok(Some(sink.calls()).filter(|calls| calls.len() >= 2))).await?;
    let kinds = told.iter().map(|call| serde_json::from_str::<Value>(&call.body).unwrap()["type"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), [json!("alert.firing"), json!("alert.resolved")]);
    Ok(())
}
