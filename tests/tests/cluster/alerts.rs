//! Alerts on a cluster: one node evaluates, and another goes on where it was killed.

use std::time::Duration;

use fastn_sdk::contract::alert::{AlertRule, AlertState, AlertView};
use fastn_sdk::contract::resource::SecretWrite;
use fastn_sdk::{CustomerClient, Fastn};
use fastn_tests::Sink;
use fastn_tests::faults::{Cluster, Plan};
use fastn_tests::server::{put_customer, put_workflow};
use serde_json::{Value, json};

use super::{ALL, ONE_AT_A_TIME, event, metric, until};

const JOB: &str = r#"
export default async function (ctx: any) {
  if (ctx.input.fails) throw new Error("as asked");
}
"#;
const NODES: [&str; 2] = ["one", "two"];
const RULES: [&str; 2] = ["errors", "use"];

async fn put_rule(client: &Fastn, sink: &Sink, id: &str, more: Value) -> anyhow::Result<()> {
    let channel = json!({"type": "webhook", "url": format!("{}/{id}", sink.url), "secret": "HOOK"});
    let mut rule = json!({"id": id, "status": "enabled", "window": "1m", "resolveAfter": "1s", "channels": [channel]});
    if let (Value::Object(rule), Value::Object(more)) = (&mut rule, more) {
        rule.extend(more);
    }
    let rule: AlertRule = serde_json::from_value(rule)?;
    client.put_alert_rule(&rule).await?;
    Ok(())
}

/// The nodes that evaluate.
async fn evaluating(cluster: &Cluster, nodes: &[&'static str]) -> Vec<&'static str> {
    let mut found = Vec::new();
    for node in nodes {
        let Ok(url) = cluster.url(node) else { continue };
        if metric(url, "fastn_alert_rules_count").await.is_ok_and(|rules| rules == RULES.len() as f64) {
            found.push(*node);
        }
    }
    found
}

/// What the channel of a rule was told, in order.
fn told(sink: &Sink, rule: &str) -> Vec<String> {
    let calls = sink.calls().into_iter().filter(|call| call.path == format!("/{rule}"));
    let body = |body: String| serde_json::from_str::<Value>(&body).unwrap_or_default();
    calls.map(|call| body(call.body)["type"].as_str().unwrap_or_default().to_owned()).collect()
}

async fn history(client: &Fastn, rule: &str) -> anyhow::Result<Vec<AlertView>> {
    Ok(client.alerts().filter("rule", Some(rule)).take(100).await?)
}

async fn send(client: &CustomerClient, part: &str, count: u32, fails: bool) -> anyhow::Result<()> {
    for n in 0..count {
        let event = event(&format!("{part}-{n}"), "job", json!({"fails": fails}));
        until("the event is taken", async || Ok(client.send(&event).await.is_ok())).await?;
    }
    Ok(())
}

/// Property: of two nodes one evaluates; when it is killed while alerts fire, the other goes on: nobody is told of them a
/// second time, what the first had counted is known, and each is resolved and told of once.
#[tokio::test(flavor = "multi_thread")]
async fn an_alert_outlives_the_node_that_evaluates() -> anyhow::Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::start(&Plan::shared(NODES.map(|node| (node, ALL)).to_vec())).await?;
    let sink = Sink::start(Duration::ZERO).await?;
    let client = cluster.client_of("one")?;
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 20, "mode": "soft"}}})).await?;
    put_workflow(&client, "job", json!({"tier": "long"}), JOB).await?;
    let value = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned();
    client.put_secret(&SecretWrite { name: "HOOK".to_owned(), value, customer: None }).await?;
    put_rule(&client, &sink, "errors", json!({"metric": "error_rate", "threshold": 50})).await?;
    let quota_use = json!({"metric": "quota_use", "dimension": "eventsPerDay", "threshold": 50});
    put_rule(&client, &sink, "use", quota_use).await?;
    until("one node evaluates", async || Ok(evaluating(&cluster, &NODES).await.len() == 1)).await?;

    send(&client.customer("cus"), "bad", 12, true).await?;
    for rule in RULES {
        until("the alert fires and its channel has taken it", async || {
            let alerts = history(&client, rule).await?;
            let delivered = |alert: &AlertView| alert.notifications.iter().all(|one| one.status == "delivered");
            Ok(alerts.first().is_some_and(|alert| alert.state == AlertState::Firing && delivered(alert)))
        })
        .await?;
        assert_eq!(told(&sink, rule), ["alert.firing"]);
    }

    let found = evaluating(&cluster, &NODES).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let dead = found[0];
    cluster.kill(dead)?;
    let left = if dead == "one" { "two" } else { "one" };
    let took = until("the other node evaluates", async || Ok(evaluating(&cluster, &[left]).await == [left])).await?;
    println!("another node evaluates {took:?} after the one that did was killed");

    let client = cluster.client_of(left)?;
    send(&client.customer("cus"), "good", 30, false).await?;
    let resolved = async |rule: &str| {
        let Ok(alerts) = history(&client, rule).await else { return Ok(false) };
        Ok(alerts.iter().all(|alert| alert.state == AlertState::Resolved))
    };
    until("most have not failed", async || resolved("errors").await).await?;
    let firing = history(&client, "use").await?;
    assert_eq!(firing.iter().map(|alert| alert.state).collect::<Vec<_>>(), [AlertState::Firing], "{firing:?}");
    assert_eq!(firing[0].value_of.as_deref(), Some("cus"));
    put_customer(&client, "cus", json!({"quotas": {"eventsPerDay": {"limit": 1_000}}})).await?;
    until("a share of the new limit is small", async || resolved("use").await).await?;
    for rule in RULES {
        until("the channel was told", async || Ok(told(&sink, rule).len() == 2)).await?;
        assert_eq!(told(&sink, rule), ["alert.firing", "alert.resolved"]);
        let alerts = history(&client, rule).await?;
        assert_eq!((alerts.len(), alerts[0].resolved_by.as_deref()), (1, Some("recovered")), "{alerts:?}");
    }
    Ok(())
}
