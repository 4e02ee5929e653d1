use std::str::FromStr as _;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::time::civil_from_days;

fn schedule(spec: Value) -> Schedule {
    try_schedule(spec).unwrap()
}

fn try_schedule(spec: Value) -> Result<Schedule, Vec<FieldError>> {
    Schedule::compile(&serde_json::from_value(spec).unwrap(), "t")
}

fn cron_in(zone: &str, expression: &str) -> Schedule {
    schedule(json!({"when": {"mode": "cron", "expression": expression}, "timezone": zone}))
}

fn at(text: &str) -> Timestamp {
    parse_rfc3339(text).unwrap_or_else(|| panic!("{text}"))
}

fn following(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let all = std::iter::successors(schedule.next(at(after)), |fire| schedule.next(fire.at));
    all.take(count).map(|fire| fire.at.to_string()[..16].to_owned()).collect()
}

/// Property: the table of docs/SCHEDULES.md: a fixed time of day that the clock skips fires when the clock is put forward,
/// one that comes twice fires the first time; what goes with the clock leaves out what is skipped and fires in both passes.
#[test]
fn clocks_put_forward_and_back() {
    let table: [(&str, &str, &str, &[&str]); 18] = [
        // Europe/Berlin: 02:00 becomes 03:00 at 01:00Z on 28 March 2027, and 03:00 becomes 02:00 at 01:00Z on 31 October.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2027-03-27T00:00:00Z",
            &["2027-03-27T01:30", "2027-03-28T01:00", "2027-03-29T00:30"],
        ),
        ("Europe/Berlin", "0 3 * * *", "2027-03-27T12:00:00Z", &["2027-03-28T01:00", "2027-03-29T01:00"]),
        ("Europe/Berlin", "10,50 2 * * *", "2027-03-28T00:00:00Z", &["2027-03-28T01:00", "2027-03-29T00:10"]),
        (
            "Europe/Berlin",
            "30 * * * *",
            "2027-03-28T00:00:00Z",
            &["2027-03-28T00:30", "2027-03-28T01:30", "2027-03-28T02:30"],
        ),
        (
            "Europe/Berlin",
            "0 */2 * * *",
            "2027-03-27T22:00:00Z",
            &["2027-03-27T23:00", "2027-03-28T02:00", "2027-03-28T04:00"],
        ),
        ("Europe/Berlin", "30 2 * * *", "2027-10-30T12:00:00Z", &["2027-10-31T00:30", "2027-11-01T01:30"]),
        (
            "Europe/Berlin",
            "30 * * * *",
            "2027-10-31T00:00:00Z",
            &["2027-10-31T00:30", "2027-10-31T01:30", "2027-10-31T02:30"],
        ),
        (
            "Europe/Berlin",
            "*/30 2 31 10 *",
            "2027-02-01T00:00:00Z",
            &["2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T01:00", "2027-10-31T01:30", "2028-10-31T01:00"],
        ),
        // America/New_York: 02:00 becomes 03:00 at 07:00Z on 14 March 2027, and 02:00 becomes 01:00 at 06:00Z on 7 November.
        ("America/New_York", "15 2 * * *", "2027-03-13T12:00:00Z", &["2027-03-14T07:00", "2027-03-15T06:15"]),
        ("America/New_York", "30 1 * * *", "2027-11-07T00:00:00Z", &["2027-11-07T05:30", "2027-11-08T06:30"]),
        (
            "America/New_York",
            "*/30 * * * *",
            "2027-11-07T04:59:00Z",
            &["2027-11-07T05:00", "2027-11-07T05:30", "2027-11-07T06:00", "2027-11-07T06:30", "2027-11-07T07:00"],
        ),
        (
            "America/New_York",
            "*/30 * * * *",
            "2027-03-14T06:29:00Z",
            &["2027-03-14T06:30", "2027-03-14T07:00", "2027-03-14T07:30"],
        ),
        // Australia/Lord_Howe: half an hour, at 15:00Z on 3 April and 15:30Z on 2 October 2027.
        ("Australia/Lord_Howe", "15 2 * * *", "2027-10-01T20:00:00Z", &["2027-10-02T15:30", "2027-10-03T15:15"]),
        ("Australia/Lord_Howe", "45 1 * * *", "2027-04-03T00:00:00Z", &["2027-04-03T14:45", "2027-04-04T15:15"]),
        (
            "Australia/Lord_Howe",
            "45 * * * *",
            "2027-04-03T14:00:00Z",
            &["2027-04-03T14:45", "2027-04-03T15:15", "2027-04-03T16:15"],
        ),
        // America/Santiago: midnight itself is skipped at 04:00Z on 5 September 2027; 23:00 comes twice on 3 April.
        ("America/Santiago", "0 0 * * *", "2027-09-04T12:00:00Z", &["2027-09-05T04:00", "2027-09-06T03:00"]),
        ("America/Santiago", "0 0 5 9 *", "2027-01-01T00:00:00Z", &["2027-09-05T04:00", "2028-09-05T03:00"]),
        ("America/Santiago", "30 23 * * 6", "2027-04-03T12:00:00Z", &["2027-04-04T02:30", "2027-04-11T03:30"]),
    ];
    for (zone, expression, after, expected) in table {
        assert_eq!(following(&cron_in(zone, expression), after, expected.len()), expected, "{expression} in {zone}");
    }
}

/// A clock's hand at a minute: month, day, day of the week, hour, minute.
type Hand = (i64, i64, i64, i64, i64);

fn hand(minute: i64) -> Hand {
    let day = minute.div_euclid(1_440);
    let (_, month, of_month) = civil_from_days(day);
    let of_day = minute.rem_euclid(1_440);
    (month, of_month, (day + 4).rem_euclid(7), of_day / 60, of_day % 60)
}

/// What a person with a clock on the wall would do, minute by minute through a year.
fn by_the_wall(zone: &str, from: i64, to: i64, follows: bool, holds: impl Fn(Hand) -> bool) -> Vec<Timestamp> {
    let zone = Zone::named(zone).unwrap();
    let mut fires = Vec::new();
    let mut highest = zone.minute_at(from - 60);
    for instant in (from..to).step_by(60) {
        let shown = zone.minute_at(instant);
        let fires_now =
            if follows { holds(hand(shown)) } else { (highest + 1..=shown).any(|minute| holds(hand(minute))) };
        if fires_now {
            fires.push(Timestamp::from_millis(instant * 1_000));
        }
        highest = if follows { shown } else { highest.max(shown) };
    }
    fires
}

/// Property: through the whole of 2028, with both changes of clock in four zones and 29 February, each mode fires exactly
/// when a person who looks at the clock every minute would.
#[test]
fn a_leap_year_by_the_wall() {
    let (from, to) = (at("2028-01-01T00:00:00Z"), at("2029-01-01T00:00:00Z"));
    let seconds = |at: Timestamp| at.0 / 1_000_000;
    type Holds = fn(Hand) -> bool;
    let modes: [(Value, bool, Holds); 7] = [
        (json!({"mode": "interval", "every": 15, "unit": "minutes"}), true, |(.., minute)| minute % 15 == 0),
        (json!({"mode": "interval", "every": 6, "unit": "hours"}), true, |(.., hour, minute)| {
            hour % 6 == 0 && minute == 0
        }),
        (json!({"mode": "daily", "at": "02:30"}), false, |(.., hour, minute)| (hour, minute) == (2, 30)),
        (json!({"mode": "daily", "at": "00:00"}), false, |(.., hour, minute)| (hour, minute) == (0, 0)),
        (json!({"mode": "weekly", "days": ["sun", "wed"], "at": "01:45"}), false, |(_, _, day, hour, minute)| {
            (day == 0 || day == 3) && (hour, minute) == (1, 45)
        }),
        (json!({"mode": "monthly", "day": 31, "at": "09:00"}), false, |(month, day, _, hour, minute)| {
            let last = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month as usize - 1];
            day == last && (hour, minute) == (9, 0)
        }),
        (json!({"mode": "cron", "expression": "5 12 29 2 *"}), false, |(month, day, _, hour, minute)| {
            (month, day, hour, minute) == (2, 29, 12, 5)
        }),
    ];
    for zone in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago"] {
        for (when, follows, holds) in &modes {
            let schedule = schedule(json!({"when": when, "timezone": zone}));
            let fires = schedule.between(from, to, usize::MAX);
            let expected = by_the_wall(zone, seconds(from), seconds(to), *follows, holds);
            assert!(!expected.is_empty());
            assert_eq!(fires, expected, "{when} in {zone}");
        }
    }
}

/// Property: an interval that no cron expression says is counted in time from its start, whatever the clocks do; one of days
/// keeps its time of day.
#[test]
fn intervals_without_a_cron_expression() {
    let counted = schedule(json!({
        "when": {"mode": "interval", "every": 7, "unit": "hours"}, "timezone": "Europe/Berlin",
        "startsAt": "2027-03-27T20:00:00+01:00"
    }));
    assert_eq!(counted.cron(), None);
    assert_eq!(
        following(&counted, "2027-01-01T00:00:00Z", 3),
        ["2027-03-27T19:00", "2027-03-28T02:00", "2027-03-28T09:00"]
    );
    let days = schedule(json!({
        "when": {"mode": "interval", "every": 2, "unit": "days"}, "timezone": "Europe/Berlin",
        "startsAt": "2027-03-27T08:15:40+01:00", "endsAt": "2027-03-31T06:15:00Z"
    }));
    assert_eq!(following(&days, "2027-01-01T00:00:00Z", 9), ["2027-03-27T07:15", "2027-03-29T06:15"]);
}

/// Property: each mode shows the cron expression that fires at the same times, and none where there is none.
#[test]
fn the_cron_expression_is_shown() {
    let shown = |when: Value| schedule(json!({"when": when, "timezone": "Asia/Kolkata"})).cron().map(str::to_owned);
    for (when, expected) in [
        (json!({"mode": "interval", "every": 5, "unit": "minutes"}), Some("*/5 * * * *")),
        (json!({"mode": "interval", "every": 1, "unit": "minutes"}), Some("* * * * *")),
        (json!({"mode": "interval", "every": 120, "unit": "minutes"}), Some("0 */2 * * *")),
        (json!({"mode": "interval", "every": 1, "unit": "hours"}), Some("0 * * * *")),
        (json!({"mode": "interval", "every": 1, "unit": "days"}), Some("0 0 * * *")),
        (json!({"mode": "interval", "every": 7, "unit": "minutes"}), None),
        (json!({"mode": "interval", "every": 3, "unit": "days"}), None),
        (json!({"mode": "daily", "at": "06:00"}), Some("0 6 * * *")),
        (json!({"mode": "weekly", "days": ["fri", "mon"], "at": "09:05"}), Some("5 9 * * 1,5")),
        (json!({"mode": "monthly", "day": 28, "at": "09:00"}), Some("0 9 28 * *")),
        (json!({"mode": "monthly", "day": 29, "at": "09:00"}), None),
        (json!({"mode": "cron", "expression": "  0  9 * *  MON-FRI"}), Some("0 9 * * mon-fri")),
    ] {
        assert_eq!(shown(when.clone()).as_deref(), expected, "{when}");
        if let Some(cron) = expected {
            let (own, same) =
                (schedule(json!({"when": when, "timezone": "Asia/Kolkata"})), cron_in("Asia/Kolkata", cron));
            let from = "2027-01-01T00:00:00Z";
            assert_eq!(following(&own, from, 40), following(&same, from, 40), "{when}");
        }
    }
}

/// Property: every part that is not valid is named, and a schedule that would never fire is refused.
#[test]
fn refuses_what_cannot_be() {
    let paths =
        |spec: Value| -> Vec<String> { try_schedule(spec).unwrap_err().into_iter().map(|error| error.path).collect() };
    let bad = json!({"when": {"mode": "daily", "at": "9:00"}, "timezone": "Mars/Olympus", "startsAt": "soon",
        "jitterSeconds": 3601, "delayMinutes": 1441, "catchUp": {"policy": "all", "windowMinutes": 0},
        "autoDisable": {"failures": 1001, "cooldownMinutes": 43201}});
    assert_eq!(
        paths(bad),
        [
            "source.timezone",
            "source.startsAt",
            "source.jitterSeconds",
            "source.delayMinutes",
            "source.catchUp.windowMinutes",
            "source.autoDisable.failures",
            "source.autoDisable.cooldownMinutes",
            "source.when.at"
        ]
    );
    for (when, path) in [
        (json!({"mode": "interval", "every": 0, "unit": "minutes"}), "source.when.every"),
        (json!({"mode": "interval", "every": 367, "unit": "days"}), "source.when.every"),
        (json!({"mode": "weekly", "days": [], "at": "09:00"}), "source.when.days"),
        (json!({"mode": "monthly", "day": 32, "at": "09:00"}), "source.when.day"),
        (json!({"mode": "daily", "at": "24:00"}), "source.when.at"),
        (json!({"mode": "cron", "expression": "0 0 30 2 *"}), "source.when"),
        (json!({"mode": "cron", "expression": "a b c d e"}), "source.when.expression"),
    ] {
        assert_eq!(paths(json!({"when": when, "timezone": "UTC"})), [path], "{when}");
    }
    let over = json!({"when": {"mode": "daily", "at": "09:00"}, "timezone": "UTC",
        "startsAt": "2027-01-01T10:00:00Z", "endsAt": "2027-01-02T09:00:00Z"});
    assert_eq!(paths(over), ["source.when"]);
}

fn every_minute(extra: Value) -> Schedule {
    let mut spec = json!({"when": {"mode": "interval", "every": 1, "unit": "minutes"}, "timezone": "UTC"});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    schedule(spec)
}

/// Property: jitter is the same for the same fire, differs between fires, stays below its limit, and delay comes on top.
#[test]
fn jitter_and_delay() {
    let schedule = every_minute(json!({"jitterSeconds": 40, "delayMinutes": 90}));
    let fires: Vec<Fire> =
        std::iter::successors(schedule.next(Timestamp(0)), |fire| schedule.next(fire.at)).take(200).collect();
    let waits: Vec<u64> = fires.iter().map(|fire| fire.due.since(fire.at).as_millis() as u64 - 5_400_000).collect();
    assert!(waits.iter().all(|wait| *wait <= 40_000), "{waits:?}");
    assert!(waits.iter().any(|wait| *wait < 10_000) && waits.iter().any(|wait| *wait > 30_000), "{waits:?}");
    assert!(fires.iter().all(|fire| schedule.due(fire.at) == fire.due));
    let next = schedule.next_due(fires[100].due).unwrap();
    assert!(next.due > fires[100].due && next.at <= fires[102].at);
}

/// Property: what is merely late is always made; of what was missed, each policy makes what it says.
#[test]
fn catching_up() {
    let now = at("2027-05-05T12:00:30Z");
    let minutes = |schedule: &Schedule, after: &str| -> Vec<String> {
        schedule.owed(at(after), now).iter().map(|fire| fire.at.to_string()[11..16].to_owned()).collect()
    };
    let none = every_minute(json!({"catchUp": {"policy": "none"}}));
    assert_eq!(minutes(&none, "2027-05-05T11:00:00Z"), ["12:00"]);
    assert_eq!(minutes(&none, "2027-05-05T12:00:10Z"), [""; 0]);
    let all = every_minute(json!({"catchUp": {"policy": "all", "windowMinutes": 3}}));
    assert_eq!(minutes(&all, "2027-05-05T00:00:00Z"), ["11:58", "11:59", "12:00"]);
    assert_eq!(minutes(&all, "2027-05-05T11:59:00Z"), ["12:00"]);
    let last = |when: Value| schedule(json!({"when": when, "timezone": "UTC", "catchUp": {"policy": "last"}}));
    let monthly = last(json!({"mode": "monthly", "day": 1, "at": "11:00"}));
    assert_eq!(monthly.owed(at("2026-01-01T12:00:00Z"), now)[0].at, at("2027-05-01T11:00:00Z"));
    assert_eq!(monthly.owed(at("2026-01-01T12:00:00Z"), now).len(), 1);
    assert_eq!(monthly.owed(at("2027-05-01T11:00:00Z"), now), []);
    assert_eq!(minutes(&every_minute(json!({"catchUp": {"policy": "last"}})), "2027-05-05T00:00:00Z"), ["12:00"]);
    let yearly = last(json!({"mode": "cron", "expression": "0 0 1 6 *"}));
    assert_eq!(yearly.owed(at("2020-01-01T12:00:00Z"), now)[0].at, at("2026-06-01T00:00:00Z"));
    // Delay moves what is due, and with it what is missed.
    let delayed = every_minute(json!({"delayMinutes": 30, "catchUp": {"policy": "all", "windowMinutes": 2}}));
    assert_eq!(minutes(&delayed, "2027-05-05T00:00:00Z"), ["11:29", "11:30"]);
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    let one = low..=high;
    prop_oneof![
        4 => Just("*".to_owned()),
        3 => one.clone().prop_map(|value| value.to_string()),
        2 => (one.clone(), one.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        1 => (one.clone(), one.clone(), one).prop_map(|(a, b, c)| format!("{a},{b},{c}")),
    ]
}

fn stepped(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![3 => field(low, high), 1 => (2..=high).prop_map(|step| format!("*/{step}"))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Property: in a zone whose clock never changes, an expression fires when another implementation of cron says so.
    #[test]
    fn agrees_with_croner(
        fields in (stepped(0, 59), stepped(0, 23), field(1, 28), stepped(1, 12), field(0, 6)),
        start_s in 1_700_000_000_i64..2_000_000_000,
    ) {
        let (minute, hour, of_month, month, of_week) = fields;
        let expression = format!("{minute} {hour} {of_month} {month} {of_week}");
        let own = cron_in("UTC", &expression);
        let theirs = croner::Cron::from_str(&expression).unwrap();
        let mut from = Timestamp::from_millis(start_s * 1_000);
        for _ in 0..20 {
            let zoned = jiff::Timestamp::from_microsecond(from.0).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let expected = theirs.find_next_occurrence(&zoned, false).unwrap().timestamp().as_microsecond();
            let fire = own.next(from).unwrap();
            prop_assert_eq!(fire.at.0, expected, "{} after {}", expression, from);
            from = fire.at;
        }
    }
}
