//! The time for which a signed timestamp is good, so that a request that somebody has overheard cannot be sent again
//! later.

use fastn_contract::verification::TOLERANCE_SECONDS_DEFAULT;
use fastn_domain::Timestamp;
use fastn_domain::time::parse_rfc3339;

use super::Refusal;

/// Unix times above this are milliseconds: as seconds it is the year 5138, as milliseconds 1973.
const SECONDS_MAX: i64 = 100_000_000_000;

/// Now, and how far from it a timestamp may be, either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    now: Timestamp,
    seconds: u32,
}

impl Window {
    /// The window around `now`, of five minutes when nothing says otherwise.
    pub(crate) fn around(now: Timestamp, seconds: Option<u32>) -> Self {
        Self { now, seconds: seconds.unwrap_or(TOLERANCE_SECONDS_DEFAULT) }
    }

    /// Its size.
    pub(crate) const fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Refuses a time outside of it.
    pub(crate) fn check_ms(&self, sent_ms: i64) -> Result<(), Refusal> {
        let away_ms = self.now.as_millis().abs_diff(sent_ms);
        if away_ms > u64::from(self.seconds) * 1_000 { Err(Refusal::Expired(*self)) } else { Ok(()) }
    }

    /// [`Window::check_ms`] of whole seconds: of now, only whole seconds count too.
    pub(crate) fn check_seconds(&self, text: &str, name: &str) -> Result<(), Refusal> {
        let sent_s: i64 = text.parse().map_err(|_| Refusal::malformed(name))?;
        let away_s = self.now.as_millis().div_euclid(1_000).abs_diff(sent_s);
        if away_s > u64::from(self.seconds) { Err(Refusal::Expired(*self)) } else { Ok(()) }
    }

    /// The same for a time in seconds, in milliseconds or in RFC 3339.
    pub(crate) fn check_any(&self, text: &str, name: &str) -> Result<(), Refusal> {
        match text.parse::<i64>() {
            Ok(number) if number.saturating_abs() <= SECONDS_MAX => self.check_seconds(text, name),
            Ok(number) => self.check_ms(number),
            Err(_) => self.check_ms(parse_rfc3339(text).ok_or_else(|| Refusal::malformed(name))?.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Property: in every notation a time is good for the whole tolerance either way and no longer.
    #[test]
    fn every_notation() {
        let now = Timestamp::from_millis(1_764_000_000_000);
        for seconds in [None, Some(60)] {
            let window = Window::around(now, seconds);
            let size = i64::from(window.seconds());
            for (away, good) in [(0, true), (size, true), (-size, true), (size + 1, false), (-size - 1, false)] {
                let then = Timestamp::from_millis(now.as_millis() + away * 1_000);
                let seconds = (then.as_millis() / 1_000).to_string();
                for text in [seconds, then.as_millis().to_string(), then.to_string()] {
                    assert_eq!(window.check_any(&text, "x").is_ok(), good, "{text} {away}");
                }
            }
        }
        let window = Window::around(now, None);
        for text in ["", "soon", "99999999999999999999", "2026-13-01T00:00:00Z"] {
            assert_eq!(window.check_any(text, "x"), Err(Refusal::malformed("x")), "{text}");
        }
        for text in [i64::MIN.to_string(), i64::MAX.to_string(), "0".to_owned()] {
            assert_eq!(window.check_any(&text, "x"), Err(Refusal::Expired(window)), "{text}");
        }
    }
}
