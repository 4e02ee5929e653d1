//! Schedules through the API: what is shown, refused, fired by hand, backfilled, paused.

use axum::http::StatusCode;
use fastn_contract::activity::{EventStatus, Origin};
use fastn_domain::ids::EventId;
use fastn_domain::time::parse_rfc3339;
use fastn_domain::{Scope, Timestamp};
use fastn_testkit::store_suite::rows;
use serde_json::{Value, json};

use crate::server::{KEY_ACME, Server};

async fn ready() -> Server {
    let server = Server::completing().await;
    server.ready_to_run("standard").await;
    server
}

fn body(id: &str, source: Value) -> Value {
    let mut whole = json!({"type": "schedule", "timezone": "UTC", "when": {"mode": "daily", "at": "09:00"}});
    whole.as_object_mut().unwrap().extend(source.as_object().unwrap().clone());
    json!({"id": id, "source": whole, "routes": [{"workflow": "add"}]})
}

async fn put(server: &Server, id: &str, source: Value) -> (StatusCode, Value) {
    server.call("PUT", &format!("/v1/triggers/{id}"), Some(body(id, source))).await
}

/// Property: every mode, unit, policy and option is taken, reads back as it was written, and shows the cron expression
/// that stands for it where there is one, with the time of its next run.
#[tokio::test]
async fn every_option_is_taken() {
    let server = ready().await;
    let days = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
    let mut options: Vec<(Value, Option<&str>)> = vec![
        (json!({"when": {"mode": "interval", "every": 5, "unit": "minutes"}}), Some("*/5 * * * *")),
        (json!({"when": {"mode": "interval", "every": 2, "unit": "hours"}}), Some("0 */2 * * *")),
        (json!({"when": {"mode": "interval", "every": 1, "unit": "days"}}), Some("0 0 * * *")),
        (json!({"when": {"mode": "interval", "every": 7, "unit": "minutes"}}), None),
        (json!({"when": {"mode": "daily", "at": "06:00"}, "timezone": "Europe/Berlin"}), Some("0 6 * * *")),
        (json!({"when": {"mode": "weekly", "days": days, "at": "23:59"}}), Some("59 23 * * 0,1,2,3,4,5,6")),
        (json!({"when": {"mode": "monthly", "day": 31, "at": "09:00"}}), None),
        (json!({"when": {"mode": "monthly", "day": 1, "at": "09:00"}}), Some("0 9 1 * *")),
        (json!({"when": {"mode": "cron", "expression": "*/10 9-17 * * MON-FRI"}}), Some("*/10 9-17 * * mon-fri")),
        (json!({"startsAt": "2027-01-01T00:00:00Z", "endsAt": "2099-01-01T00:00:00+02:00"}), Some("0 9 * * *")),
        (json!({"jitterSeconds": 3600, "delayMinutes": 1440}), Some("0 9 * * *")),
        (json!({"payload": {"deep": [1, null, "x"]}, "runImmediately": true}), Some("0 9 * * *")),
        (json!({"autoDisable": {"failures": 1000, "cooldownMinutes": 43200}}), Some("0 9 * * *")),
        (json!({"autoDisable": {"failures": 0}}), Some("0 9 * * *")),
    ];
    for policy in [
        json!({"policy": "none"}),
        json!({"policy": "last"}),
        json!({"policy": "all"}),
        json!({"policy": "all", "windowMinutes": 1380}),
    ] {
        options.push((json!({"catchUp": policy}), Some("0 9 * * *")));
    }
    for overlap in ["allow", "skip", "queue", "cancel_older"] {
        options.push((json!({"overlap": overlap}), Some("0 9 * * *")));
    }
    for (n, (option, cron)) in options.iter().enumerate() {
        let id = format!("s{n:02}");
        let (status, answer) = put(&server, &id, option.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{option}: {answer}");
        for (name, value) in option.as_object().unwrap() {
            let read = &answer["source"][name];
            let defaulted = name == "catchUp" || name == "autoDisable";
            assert!(read == value || defaulted && read.is_object(), "{option}: {answer}");
        }
        let (status, view) = server.call("GET", &format!("/v1/schedules/{id}"), None).await;
        assert_eq!((status, view["cron"].as_str()), (StatusCode::OK, *cron), "{view}");
        assert!(view["nextRun"].as_str().is_some_and(|next| parse_rfc3339(next).is_some()), "{view}");
        assert!(!view["upcoming"].as_array().unwrap().is_empty(), "{view}");
    }
    let (_, first) = server.call("GET", "/v1/schedules?limit=10", None).await;
    let next = first["nextCursor"].as_str().unwrap();
    let (_, second) = server.call("GET", &format!("/v1/schedules?limit=1000&cursor={next}"), None).await;
    let pages = [&first, &second].map(|page| page["items"].as_array().unwrap().clone()).concat();
    let ids: Vec<&str> = pages.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), options.len());
    assert!(ids.is_sorted() && second["nextCursor"].is_null());
}

/// Property: what cannot be is refused, each part with its own path.
#[tokio::test]
async fn nonsense_is_refused() {
    let server = ready().await;
    for (option, path) in [
        (json!({"timezone": "Mars/Olympus"}), "source.timezone"),
        (json!({"when": {"mode": "cron", "expression": "0 0 30 2 *"}}), "source.when"),
        (json!({"when": {"mode": "cron", "expression": "61 * * * *"}}), "source.when.expression"),
        (json!({"when": {"mode": "daily", "at": "9"}}), "source.when.at"),
        (json!({"startsAt": "tomorrow"}), "source.startsAt"),
        (json!({"jitterSeconds": 3601}), "source.jitterSeconds"),
        (json!({"catchUp": {"policy": "all", "windowMinutes": 1381}}), "source.catchUp.windowMinutes"),
    ] {
        let (status, problem) = put(&server, "bad", option.clone()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{option}: {problem}");
        assert_eq!(problem["errors"][0]["path"], path, "{problem}");
    }
    let unknown = json!({"when": {"mode": "yearly"}});
    assert_eq!(put(&server, "bad", unknown).await.0, StatusCode::BAD_REQUEST);
    for path in ["/v1/schedules/bad", "/v1/schedules/bad/run"] {
        let method = if path.ends_with("run") { "POST" } else { "GET" };
        assert_eq!(server.call(method, path, None).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

/// Property: a run by hand makes one event for each customer at once, under one id for the same idempotency key, with the
/// schedule's payload; a customer's own key runs it for that customer alone.
#[tokio::test]
async fn runs_by_hand() {
    let server = ready().await;
    server.call("PUT", "/v1/customers/cus_b", Some(json!({"id": "cus_b"}))).await;
    put(&server, "s", json!({"payload": {"n": 1}})).await;
    let keyed = [("x-fastn-access-key", crate::server::KEY), ("idempotency-key", "k1")];
    let (status, made) = server.with("POST", "/v1/schedules/s/run", None, &keyed).await;
    assert_eq!((status, &made["events"]), (StatusCode::ACCEPTED, &json!(2)), "{made}");
    let (_, again) = server.with("POST", "/v1/schedules/s/run", None, &keyed).await;
    assert_eq!(again, made);
    let own = [("x-fastn-access-key", KEY_ACME)];
    let (status, made) = server.with("POST", "/v1/schedules/s/run", None, &own).await;
    assert_eq!((status, &made["events"]), (StatusCode::ACCEPTED, &json!(1)), "{made}");
    let (acme, other) = (server.events("cus_acme").await, server.events("cus_b").await);
    assert_eq!((acme.len(), other.len()), (2, 1));
    assert_eq!((acme[0].id.as_str(), acme[0].data.as_ref()), (other[0].id.as_str(), r#"{"n":1}"#));
    assert_eq!((acme[0].origin, acme[0].trigger.as_ref().unwrap().as_str()), (Origin::Manual, "s"));
    server.call("PUT", "/v1/customers/cus_acme", Some(json!({"id": "cus_acme", "status": "suspended"}))).await;
    let (status, problem) = server.with("POST", "/v1/schedules/s/run", None, &own).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
}

/// Property: a backfill makes the events of a range under the clock's own ids, leaves out those that activity shows, tells
/// beforehand what it would do, and refuses what is too much or in the future.
#[tokio::test]
async fn backfills_make_what_is_not_there() {
    let server = ready().await;
    put(&server, "s", json!({"timezone": "Europe/Berlin", "when": {"mode": "daily", "at": "02:30"}})).await;
    let range = json!({"from": "2026-03-27T00:00:00Z", "to": "2026-03-30T00:00:00Z"});
    let mut dry = range.clone();
    dry["dryRun"] = json!(true);
    let backfill = async |range: Value| server.call("POST", "/v1/schedules/s/backfill", Some(range)).await;
    let expected: Vec<String> = ["2026-03-27T01:30", "2026-03-28T01:30", "2026-03-29T01:00"]
        .map(|at| format!("schedule/s/{at}:00.000Z"))
        .to_vec();
    let all = json!({"eventIds": expected, "events": 3, "alreadyThere": 0});
    assert_eq!(backfill(dry.clone()).await, (StatusCode::ACCEPTED, all.clone()));
    assert!(server.events("cus_acme").await.is_empty());
    assert_eq!(backfill(range.clone()).await, (StatusCode::ACCEPTED, all));
    let events = server.events("cus_acme").await;
    let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids, expected);
    assert_eq!((events[2].time, events[2].origin), (parse_rfc3339("2026-03-29T01:00:00Z").unwrap(), Origin::Schedule));

    // Activity shows two of them; one was skipped, and is there all the same.
    let scope = Scope::parse("acc_one", "cus_acme").unwrap();
    let mut batch = rows::batch(0, 1);
    for (n, status) in [(1, EventStatus::Delivered), (3, EventStatus::Rejected)] {
        let id = EventId::new(&expected[n as usize - 1]).unwrap();
        batch.events.push(fastn_store::EventRow { id, status, ..rows::event(&scope, n) });
    }
    server.store.project(batch).await.unwrap();
    let (_, left) = backfill(range).await;
    assert_eq!(left, json!({"eventIds": [expected[1]], "events": 1, "alreadyThere": 2}));

    let future =
        Timestamp(parse_rfc3339("2026-01-01T00:00:00Z").unwrap().0 + 100 * 365 * 86_400 * 1_000_000).to_string();
    for (from, to) in [
        ("2026-03-30T00:00:00Z", "2026-03-27T00:00:00Z"),
        ("2020-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("2026-01-01T00:00:00Z", future.as_str()),
        ("soon", "later"),
    ] {
        let (status, problem) = backfill(json!({"from": from, "to": to})).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{from} to {to}: {problem}");
    }
}

/// Property: a paused schedule shows no next run and does not run; its history tells every change with its reason, by
/// whichever way it came; a customer's key may not pause what is the account's; deleting forgets the history.
#[tokio::test]
async fn pause_and_resume() {
    let server = ready().await;
    put(&server, "s", json!({})).await;
    let (status, view) = server.call("POST", "/v1/schedules/s/pause", Some(json!({"reason": "maintenance"}))).await;
    assert_eq!((status, &view["status"], &view["nextRun"]), (StatusCode::OK, &json!("disabled"), &Value::Null));
    let (status, problem) = server.call("POST", "/v1/schedules/s/run", None).await;
    assert_eq!((status, &problem["code"]), (StatusCode::CONFLICT, &json!("CONFLICT")));
    assert_eq!(server.call("GET", "/v1/triggers/s", None).await.1["status"], "disabled");
    server.call("POST", "/v1/schedules/s/pause", None).await;
    let (_, view) = server.call("POST", "/v1/schedules/s/resume", None).await;
    assert_eq!(view["status"], "enabled");
    let mut written = body("s", json!({}));
    written["status"] = json!("disabled");
    server.call("PUT", "/v1/triggers/s", Some(written)).await;
    let (_, view) = server.call("GET", "/v1/schedules/s", None).await;
    let told: Vec<(&str, &str, bool)> = view["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|change| {
            let text = |name: &str| change[name].as_str().unwrap();
            (text("status"), text("reason"), change["automatic"].as_bool().unwrap())
        })
        .collect();
    assert_eq!(
        told,
        [("disabled", "the trigger was written", false), ("enabled", "", false), ("disabled", "maintenance", false)]
    );
    let own = [("x-fastn-access-key", KEY_ACME)];
    let (status, _) = server.with("POST", "/v1/schedules/s/resume", None, &own).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let long = json!({"reason": "x".repeat(501)});
    assert_eq!(server.call("POST", "/v1/schedules/s/resume", Some(long)).await.0, StatusCode::BAD_REQUEST);
    assert_eq!(server.call("DELETE", "/v1/triggers/s", None).await.0, StatusCode::NO_CONTENT);
    put(&server, "s", json!({})).await;
    assert_eq!(server.call("GET", "/v1/schedules/s", None).await.1["history"], Value::Null);
}
