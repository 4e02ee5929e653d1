//! When to look again: an interval that follows what a source does, and what a source asks for.

use std::time::Duration;

use fastn_contract::poll::PollInterval;

use crate::time::{Timestamp, parse_rfc3339};

/// Longest wait, whatever a source asks for: a header that is wrong does not end a poll for good.
pub const WAIT_MAX: Duration = Duration::from_secs(86_400);
/// Longest wait after failures, unless the interval is longer.
const FAILURE_WAIT_MAX: Duration = Duration::from_secs(3_600);
/// Doublings of the wait after failures that are counted.
const DOUBLINGS_MAX: u32 = 16;

/// Between which limits an interval moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    min: Duration,
    max: Duration,
}

impl Pace {
    /// Those of a declaration.
    pub fn new(interval: &PollInterval) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(u64::from(seconds));
        let min = seconds(interval.min_seconds);
        Self { min, max: seconds(interval.max_seconds).max(min) }
    }

    /// The interval within the limits; the shortest at first.
    pub fn within(&self, interval: Duration) -> Duration {
        interval.clamp(self.min, self.max)
    }

    /// The interval after a poll that came to its end: half of it if something had changed, else half as much again.
    pub fn after(&self, interval: Duration, changed: bool) -> Duration {
        let interval = self.within(interval);
        self.within(if changed { interval / 2 } else { interval * 3 / 2 })
    }

    /// The interval after the source asked to wait: twice as long.
    pub fn slower(&self, interval: Duration) -> Duration {
        self.within(self.within(interval) * 2)
    }

    /// The wait after so many failures in a row: the interval, doubled each time.
    pub fn after_failures(&self, interval: Duration, failures: u32) -> Duration {
        let interval = self.within(interval);
        let doubled = interval.saturating_mul(1 << failures.saturating_sub(1).min(DOUBLINGS_MAX));
        doubled.min(FAILURE_WAIT_MAX.max(interval))
    }
}

/// What the headers of an answer say about further requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimit {
    /// `Retry-After`: nothing for so long.
    pub retry_after: Option<Duration>,
    /// Requests that are left until `reset`.
    pub remaining: Option<u64>,
    /// Until there are more.
    pub reset: Option<Duration>,
}

impl RateLimit {
    /// How long to wait before the next request, if at all: `refused` says that this one was (429 or 503).
    pub fn wait(&self, refused: bool) -> Option<Duration> {
        let spent = self.remaining == Some(0);
        let wait = match (self.retry_after, self.reset) {
            (Some(after), _) => Some(after),
            (None, Some(reset)) if refused || spent => Some(reset),
            _ => None,
        };
        wait.filter(|_| refused || spent || self.retry_after.is_some()).map(|wait| wait.min(WAIT_MAX))
    }
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3), `RateLimit` (the IETF draft on RateLimit fields, as dictionary of its
/// older versions and as list of its newer ones), `RateLimit-Remaining`, `RateLimit-Reset`, and the same with `X-`. Names
/// in lower case. A reset that is too large for seconds from now is an instant.
pub fn rate_limit(headers: &[(String, String)], now: Timestamp) -> RateLimit {
    let mut found = RateLimit::default();
    for (name, value) in headers {
        let value = value.trim();
        match name.as_str() {
            "retry-after" => found.retry_after = found.retry_after.or_else(|| seconds_or_date(value, now)),
            "ratelimit-remaining" | "x-ratelimit-remaining" | "x-rate-limit-remaining" => {
                found.remaining = least(found.remaining, value.parse().ok());
            }
            "ratelimit-reset" | "x-ratelimit-reset" | "x-rate-limit-reset" => {
                found.reset = found.reset.or_else(|| seconds_or_instant(value, now));
            }
            "ratelimit" => {
                // A list has one member for each quota; the one that is spent counts.
                for member in value.split(", ") {
                    let remaining = field(member, &["r", "remaining"]).and_then(|text| text.parse().ok());
                    let reset = field(member, &["t", "reset"]).and_then(|text| seconds_or_instant(text, now));
                    if remaining == Some(0) || found.reset.is_none() {
                        found.reset = reset.or(found.reset);
                    }
                    found.remaining = least(found.remaining, remaining);
                }
            }
            _ => {}
        }
    }
    found
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn field<'t>(member: &'t str, names: &[&str]) -> Option<&'t str> {
    member.split([';', ',']).find_map(|part| {
        let (name, value) = part.split_once('=')?;
        names.contains(&name.trim()).then(|| value.trim())
    })
}

fn seconds_or_instant(text: &str, now: Timestamp) -> Option<Duration> {
    /// Seconds from now beyond which a number is seconds since the epoch: no reset is three years away.
    const INSTANT_MIN: f64 = 1e8;
    let seconds: f64 = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && *seconds >= 0.0)?;
    if seconds < INSTANT_MIN {
        return Some(Duration::from_secs_f64(seconds));
    }
    Some(Timestamp::from_millis((seconds * 1_000.0) as i64).since(now))
}

fn seconds_or_date(text: &str, now: Timestamp) -> Option<Duration> {
    match text.parse::<u32>() {
        Ok(seconds) => Some(Duration::from_secs(u64::from(seconds))),
        Err(_) => http_date(text).map(|at| at.since(now)),
    }
}

/// An IMF-fixdate of RFC 9110 section 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let (day, month, year, time) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    (parts.next()? == "GMT").then_some(())?;
    parse_rfc3339(&format!("{year}-{month:02}-{day}T{time}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(784_111_777_000);

    fn read(headers: &[(&str, &str)]) -> RateLimit {
        let headers: Vec<_> = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        rate_limit(&headers, NOW)
    }

    /// Property: changes make the interval shorter and quiet makes it longer, within the limits; failures double the wait.
    #[test]
    fn the_interval_follows_the_source() {
        let pace = Pace::new(&PollInterval { min_seconds: 60, max_seconds: 900 });
        let seconds = Duration::from_secs;
        assert_eq!(pace.within(seconds(0)), seconds(60));
        assert_eq!(pace.after(seconds(60), true), seconds(60));
        assert_eq!(pace.after(seconds(60), false), seconds(90));
        assert_eq!(pace.after(seconds(800), false), seconds(900));
        assert_eq!(pace.after(seconds(800), true), seconds(400));
        assert_eq!(pace.slower(seconds(300)), seconds(600));
        let waits: Vec<u64> = (1..9).map(|n| pace.after_failures(seconds(60), n).as_secs()).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
        assert_eq!(pace.after_failures(seconds(60), u32::MAX), seconds(3_600));
        let slow = Pace::new(&PollInterval { min_seconds: 86_400, max_seconds: 86_400 });
        assert_eq!(slow.after_failures(seconds(0), 9), seconds(86_400));
    }

    /// Property: every way in which a source says when to come again is understood, and nonsense is as if it were not there.
    #[test]
    fn rate_limits_are_read() {
        let wait = |headers: &[(&str, &str)], refused| read(headers).wait(refused).map(|wait| wait.as_secs());
        assert_eq!(wait(&[("retry-after", "30")], true), Some(30));
        assert_eq!(wait(&[("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")], true), Some(20));
        assert_eq!(wait(&[("retry-after", "99999999")], true), Some(86_400));
        assert_eq!(wait(&[("ratelimit-remaining", "0"), ("ratelimit-reset", "12")], false), Some(12));
        assert_eq!(wait(&[("ratelimit-remaining", "1"), ("ratelimit-reset", "12")], false), None);
        assert_eq!(wait(&[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "784111787")], false), Some(10));
        assert_eq!(wait(&[("ratelimit", "limit=100, remaining=0, reset=50")], false), Some(50));
        assert_eq!(wait(&[("ratelimit", "\"burst\";r=9;t=1, \"day\";r=0;t=40")], false), Some(40));
        assert_eq!(wait(&[("ratelimit", "\"day\";r=3;t=40")], false), None);
        assert_eq!(wait(&[("ratelimit-reset", "12")], true), Some(12));
        for nonsense in ["", "soon", "-1", "NaN", "Sun, 99 Foo 1994 08:49:57 GMT", "x, y"] {
            assert_eq!(wait(&[("retry-after", nonsense), ("ratelimit", nonsense)], true), None, "{nonsense}");
        }
    }

    proptest::proptest! {
        /// Property: no text makes the parsers panic.
        #[test]
        fn any_header_is_read(text in "[0-9a-zA-Z,;=\". :\u{e4}-]{0,60}") {
            for name in ["retry-after", "ratelimit", "ratelimit-reset", "ratelimit-remaining"] {
                let _ = read(&[(name, &text)]).wait(true);
            }
        }
    }
}
