//! Alerts over a journal written by hand, a real store, a clock that only the test moves, and receivers that listen.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

#[path = "alerts_support/rig.rs"]
mod rig;

use std::collections::BTreeSet;
use std::sync::Arc;

use fastn_contract::activity::ExecutionStatus::{Completed, Failed};
use fastn_contract::alert::AlertState;
use fastn_store::Store;
use fastn_testkit::FaultyStore;
use fastn_testkit::store_suite::{rows, scope};
use serde_json::json;

use rig::Rig;

const DAY_S: i64 = 86_400;

/// Property: a rule fires once and is resolved once, however often the evaluator dies and comes back meanwhile, and its
/// channel is told of each exactly once, signed and under an id of its own.
#[tokio::test]
async fn fires_once_and_is_resolved_once_over_restarts() {
    let rig = Rig::new().await;
    rig.rule(json!({"metric": "error_rate", "threshold": 50, "window": "1m", "resolveAfter": "10s"}));
    let alerts = rig.start().await;
    rig.end("cus_a", Failed, 100, 5).await;
    rig.until("it fires", || rig.heard().len() == 1).await;
    rig.settled().await;
    drop(alerts);
    for _ in 0..3 {
        rig.advance(5);
        let alerts = rig.start().await;
        rig.end("cus_a", Failed, 100, 1).await;
        rig.evaluated().await;
        drop(alerts);
    }
    assert_eq!(rig.heard().len(), 1, "{:?}", rig.heard());
    let alerts = rig.start().await;
    // The failures leave the window; nothing that ended is no failure.
    rig.advance(70);
    rig.evaluated().await;
    rig.advance(11);
    rig.until("it is resolved", || rig.heard().len() == 2).await;
    rig.settled().await;
    drop(alerts);
    let heard = rig.heard();
    let kinds: Vec<&str> = heard.iter().map(|heard| heard.body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["alert.firing", "alert.resolved"]);
    assert!(heard.iter().all(|heard| heard.signature.starts_with("v1,")), "{heard:?}");
    assert_ne!(heard[0].id, heard[1].id);
    let history = rig.alerts().await;
    assert_eq!(history.len(), 1, "{history:?}");
    assert_eq!((history[0].state, history[0].resolved_by.as_deref()), (AlertState::Resolved, Some("recovered")));
    assert!(history[0].notifications.iter().all(|told| told.status == "delivered" && told.attempts == 1));
}

/// Property: two evaluators at once, over a store that fails at random, find one alert, and whoever is told is told under
/// one id.
#[tokio::test]
async fn two_evaluators_find_one_alert() {
    for seed in 0..4 {
        let rig = Rig::new().await;
        rig.rule(json!({"metric": "failure_count", "threshold": 3, "window": "1m"}));
        let faulty = |seed| Arc::new(FaultyStore::new(rig.store.clone(), seed, 4)) as Arc<dyn Store>;
        let both = [rig.start_over(faulty(seed)).await, rig.start_over(faulty(seed + 100)).await];
        for _ in 0..5 {
            rig.end("cus_a", Failed, 10, 1).await;
            rig.advance(1);
        }
        rig.until("it fires", || !rig.heard().is_empty()).await;
        rig.settled().await;
        drop(both);
        let ids: BTreeSet<String> = rig.heard().into_iter().map(|heard| heard.id).collect();
        assert_eq!(ids.len(), 1, "seed {seed}: {ids:?}");
        let history = rig.alerts().await;
        assert_eq!(history.len(), 1, "seed {seed}: {history:?}");
    }
}

/// Property: a rule that is silenced fires without telling anybody, and tells when the silence is over and it still fires.
#[tokio::test]
async fn silence_holds_back_what_is_told() {
    let rig = Rig::new().await;
    let until = rig.now().plus(std::time::Duration::from_secs(60));
    rig.rule(json!({"metric": "failure_count", "threshold": 0, "window": "5m", "silencedUntil": until.to_string()}));
    let _alerts = rig.start().await;
    rig.end("cus_a", Failed, 10, 1).await;
    rig.until_shown(AlertState::Silenced).await;
    rig.advance(20);
    rig.evaluated().await;
    assert_eq!(rig.heard().len(), 0);
    rig.advance(60);
    rig.until("it is told", || rig.heard().len() == 1).await;
    rig.until_shown(AlertState::Firing).await;
}

/// Property: a message that is not taken is sent again under the same id, and the alert shows the attempts.
#[tokio::test]
async fn a_message_is_sent_until_it_is_taken() {
    let rig = Rig::new().await;
    rig.refuse(3);
    rig.rule(json!({"metric": "failure_count", "threshold": 0, "window": "5m"}));
    let _alerts = rig.start().await;
    rig.end("cus_a", Failed, 10, 1).await;
    for attempts in 1..=4 {
        rig.until("another attempt", || rig.heard().len() == attempts).await;
        rig.until_attempted(attempts).await;
        rig.advance(10);
    }
    rig.settled().await;
    let ids: BTreeSet<String> = rig.heard().into_iter().map(|heard| heard.id).collect();
    assert_eq!((rig.heard().len(), ids.len()), (4, 1));
    let told = &rig.alerts().await[0].notifications[0];
    assert_eq!((told.status.as_str(), told.attempts, told.error.as_deref()), ("delivered", 4, None));
}

/// Property: each metric of a window is what it says, over the executions of its scope alone.
#[tokio::test]
async fn metrics_are_of_their_scope() {
    for (metric, threshold, value) in [
        ("error_rate", 24.0, 25.0),
        ("latency_p99", 900.0, 1_000.0),
        ("latency_p95", 900.0, 1_000.0),
        ("latency_avg", 320.0, 325.0),
        ("throughput", 3.0, 4.0),
        ("failure_count", 0.0, 1.0),
    ] {
        let rig = Rig::new().await;
        rig.rule(json!({"metric": metric, "threshold": threshold, "window": "1m", "customer": "cus_a",
            "minSamples": 4}));
        let _alerts = rig.start().await;
        rig.end("cus_b", Failed, 60_000, 20).await;
        rig.end("cus_a", Completed, 100, 3).await;
        rig.evaluated().await;
        assert_eq!(rig.heard().len(), 0, "{metric}");
        rig.end("cus_a", Failed, 1_000, 1).await;
        rig.until(metric, || rig.heard().len() == 1).await;
        let told = rig.heard()[0].body["data"]["value"].as_f64().unwrap();
        assert!((told - value).abs() <= value * fastn_pipeline::alerts::RELATIVE_ERROR, "{metric}: {told}");
    }
}

/// Property: a rule about a host counts the calls to it and no others, and those that failed.
#[tokio::test]
async fn a_rule_about_a_host_counts_its_calls() {
    let rig = Rig::new().await;
    rig.rule(json!({"metric": "failure_count", "threshold": 1, "window": "1m", "connector": "api.example.com"}));
    let _alerts = rig.start().await;
    for (url, status) in [
        ("https://api.example.com/a", 500),
        ("https://api.example.com/b", 200),
        ("https://other.example.com/", 500),
        ("https://API.example.com:8443/c?x=1", 503),
    ] {
        rig.evaluated().await;
        assert_eq!(rig.heard().len(), 0, "before {url}");
        rig.call("cus_a", url, status).await;
    }
    rig.until("it fires", || rig.heard().len() == 1).await;
    assert_eq!(rig.heard()[0].body["data"]["value"], 2.0);
}

/// Property: a rule for too little does not fire before its window was counted in full, nor on what a stop left empty; it
/// fires once a full window was too little.
#[tokio::test]
async fn too_little_is_no_alarm_after_a_stop() {
    let rig = Rig::new().await;
    rig.rule(json!({"metric": "throughput", "comparison": "below", "threshold": 1, "window": "1m"}));
    let alerts = rig.start().await;
    rig.evaluated().await;
    rig.end("cus_a", Completed, 10, 1).await;
    rig.evaluated().await;
    drop(alerts);
    rig.advance(600);
    let _alerts = rig.start().await;
    for _ in 0..5 {
        rig.advance(11);
        rig.evaluated().await;
    }
    assert_eq!(rig.alerts().await.len(), 0);
    rig.advance(11);
    rig.until("it fires", || rig.heard().len() == 1).await;
}

/// Property: an alert whose rule is paused or deleted is over, and nobody is told that things are well.
#[tokio::test]
async fn a_rule_that_goes_ends_its_alert_silently() {
    let rig = Rig::new().await;
    let rule = json!({"metric": "failure_count", "threshold": 0, "window": "5m"});
    rig.rule(rule.clone());
    let _alerts = rig.start().await;
    rig.end("cus_a", Failed, 10, 1).await;
    rig.until("it fires", || rig.heard().len() == 1).await;
    rig.settled().await;
    let mut paused = rule;
    paused["status"] = json!("paused");
    rig.rule(paused);
    rig.until_shown(AlertState::Resolved).await;
    assert_eq!(rig.alerts().await[0].resolved_by.as_deref(), Some("paused"));
    assert_eq!(rig.heard().len(), 1);
}

/// Property: once a customer is erased with the rule about it, nothing of its alert is remembered or written again, and no
/// message about it that had not arrived is sent any more.
#[tokio::test]
async fn an_erased_customer_is_not_told_of() {
    let rig = Rig::new().await;
    rig.is_there("cus_a", true);
    rig.refuse(usize::MAX);
    rig.rule(json!({"metric": "failure_count", "threshold": 0, "window": "5m", "customer": "cus_a"}));
    let alerts = rig.start().await;
    rig.end("cus_a", Failed, 10, 1).await;
    rig.until_attempted(1).await;
    rig.is_there("cus_a", false);
    rig.forgotten().await;
    let scope = scope("acc", "cus_a");
    let gone = rig.store.erase_configuration(&scope.account, Some(&scope.customer), &[]).await.unwrap();
    assert_eq!(gone.alerts, 1);
    let heard = rig.heard().len();
    // Another rule, so that there is something to evaluate.
    rig.rule(json!({"metric": "failure_count", "threshold": 100}));
    rig.advance(1_000);
    rig.evaluated().await;
    assert_eq!((rig.alerts().await, rig.heard().len()), (Vec::new(), heard));
    drop(alerts);
}

/// Property: pending dead letters are counted as soon as activity has them, and not before.
#[tokio::test]
async fn the_depth_of_dead_letters_is_what_activity_has() {
    let rig = Rig::over(1).await;
    rig.rule(json!({"metric": "dead_letter_depth", "threshold": 2, "customer": "cus_a"}));
    let _alerts = rig.start().await;
    rig.end("cus_a", Failed, 10, 3).await;
    rig.evaluated().await;
    assert_eq!(rig.alerts().await.len(), 0, "nothing is in activity yet");
    let own = scope("acc", "cus_a");
    let mut batch = rows::batch(0, 3);
    for n in 1..=3 {
        let mut failed = rows::execution(&own, n);
        failed.state = rows::end(Failed, n);
        batch.executions.push(failed);
    }
    rig.store.project(batch).await.unwrap();
    rig.evaluated().await;
    rig.advance(10);
    rig.until("it fires", || rig.heard().len() == 1).await;
    assert_eq!(rig.heard()[0].body["data"]["value"], 3.0);
}

/// Property: an event that is not admitted makes a lag of its age, and one that is makes none.
#[tokio::test]
async fn an_event_that_waits_is_a_lag() {
    let rig = Rig::new().await;
    rig.rule(json!({"metric": "lag", "threshold": 60_000, "customer": "cus_a", "resolveAfter": "0s"}));
    let _alerts = rig.start().await;
    rig.advance(40);
    rig.evaluated().await;
    let offset = rig.event("cus_a").await;
    rig.advance(50);
    rig.evaluated().await;
    assert_eq!(rig.alerts().await.len(), 0);
    rig.advance(20);
    rig.until("it fires", || rig.heard().len() == 1).await;
    assert_eq!(rig.heard()[0].body["data"]["value"], 70_000.0);
    rig.admit("cus_a", offset).await;
    rig.evaluated().await;
    rig.advance(10);
    rig.until("it is resolved", || rig.heard().len() == 2).await;
}

/// Property: the use of a quota fires when one customer uses more than the threshold of its own limit, and says whose use it
/// is; it goes on firing between the two thresholds, over a restart too, and is over with the day. What was counted before
/// the rule was made counts.
#[tokio::test]
async fn the_use_of_a_quota_of_events() {
    let rig = Rig::new().await;
    for (customer, limit) in [("cus_a", 100), ("cus_b", 1_000), ("cus_free", 10)] {
        rig.customer(customer, "eventsPerDay", limit);
    }
    rig.count("cus_a", "eventsPerDay", DAY_S, 60).await;
    rig.count("cus_b", "eventsPerDay", DAY_S, 300).await;
    rig.rule(json!({"metric": "quota_use", "dimension": "eventsPerDay", "threshold": 80, "resolveThreshold": 50}));
    let alerts = rig.start().await;
    rig.count("cus_a", "eventsPerDay", DAY_S, 20).await;
    rig.count("cus_a", "rate/other", DAY_S, 20).await;
    rig.advance(10);
    rig.evaluated().await;
    assert_eq!(rig.alerts().await.len(), 0, "80 of 100 is not above 80 %");
    rig.count("cus_a", "eventsPerDay", DAY_S, 5).await;
    rig.advance(10);
    rig.until("it fires", || rig.heard().len() == 1).await;
    let told = rig.heard()[0].body["data"].clone();
    assert_eq!(
        (&told["value"], &told["valueOf"], &told["dimension"]),
        (&json!(85.0), &json!("cus_a"), &json!("eventsPerDay"))
    );
    rig.settled().await;

    // A larger limit leaves a share between the thresholds, and the evaluator starts again.
    drop(alerts);
    rig.customer("cus_a", "eventsPerDay", 150);
    let _alerts = rig.start().await;
    for _ in 0..12 {
        rig.advance(10);
        rig.evaluated().await;
    }
    assert_eq!(rig.alerts().await[0].state, AlertState::Firing);

    rig.advance(DAY_S);
    rig.evaluated().await;
    rig.advance(70);
    rig.until("it is resolved", || rig.heard().len() == 2).await;
    assert_eq!(rig.alerts().await.len(), 1);
}

/// Property: a burst in one minute is seen, whenever in the minute it came, and of one customer alone where the rule names it.
#[tokio::test]
async fn the_use_of_a_minute() {
    let rig = Rig::new().await;
    rig.customer("cus_a", "eventsPerMinute", 10);
    rig.customer("cus_b", "eventsPerMinute", 10);
    rig.rule(json!({"metric": "quota_use", "dimension": "eventsPerMinute", "threshold": 90, "customer": "cus_a",
        "resolveAfter": "0s"}));
    let _alerts = rig.start().await;
    rig.advance(59);
    rig.count("cus_b", "eventsPerMinute", 60, 10).await;
    rig.evaluated().await;
    rig.advance(10);
    rig.evaluated().await;
    assert_eq!(rig.alerts().await.len(), 0, "cus_b is not what the rule is about");
    rig.advance(50);
    rig.count("cus_a", "eventsPerMinute", 60, 10).await;
    rig.advance(10);
    rig.until("it fires", || rig.heard().len() == 1).await;
    assert_eq!(rig.heard()[0].body["data"]["value"], 100.0);
    rig.advance(60);
    rig.evaluated().await;
    rig.advance(60);
    rig.until("it is resolved", || rig.heard().len() == 2).await;
}

/// Property: what is limited in number is watched as the configuration has it.
#[tokio::test]
async fn the_use_of_what_is_limited_in_number() {
    let rig = Rig::new().await;
    rig.customer("cus_a", "triggers", 2);
    rig.rule(json!({"metric": "quota_use", "dimension": "triggers", "threshold": 99, "resolveAfter": "0s"}));
    let _alerts = rig.start().await;
    rig.trigger("one", "cus_a", "w");
    rig.trigger("other", "cus_b", "w");
    rig.advance(10);
    rig.evaluated().await;
    assert_eq!(rig.alerts().await.len(), 0);
    rig.trigger("two", "cus_a", "w");
    rig.advance(10);
    rig.until("it fires", || rig.heard().len() == 1).await;
    rig.customer("cus_a", "triggers", 3);
    rig.advance(10);
    rig.until("it is resolved", || rig.heard().len() == 2).await;
}
