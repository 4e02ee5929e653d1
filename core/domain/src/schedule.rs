//! When a trigger fires by the clock. Pure: instants in, instants out. docs/SCHEDULES.md says the rules to users.
//!
//! ```text
//!   scheduled time  ──(delay, jitter)──▶  due: the event is made
//! ```
//!
//! A fire is named by its scheduled time, which depends on the trigger alone: every node finds the same fires, and the ids
//! of their events show that they are one.

mod calendar;
mod cron;
mod fire;
mod state;
mod zone;

use std::time::Duration;

use fastn_contract::error::FieldError;
use fastn_contract::schedule::{CatchUp, Schedule as Spec, Unit, Weekday, When};

use self::calendar::{ALL_DAYS, ALL_WEEKDAYS, Calendar, Days};
use self::zone::Zone;
use crate::time::{Timestamp, parse_rfc3339};

pub use fire::{BACKFILL, EVENT_TYPE, SOURCE, event, fire_id, run_id};
pub use state::ScheduleState;

/// Longest interval.
const INTERVAL_MINUTES_MAX: u64 = 366 * 1_440;
/// Largest jitter.
const JITTER_SECONDS_MAX: u32 = 3_600;
/// Largest delay.
const DELAY_MINUTES_MAX: u32 = 1_440;
/// Longest window of catching up: within the time for which an event's id is remembered, so that making up for a fire that
/// was made after all changes nothing.
const WINDOW_MINUTES_MAX: u32 = 1_380;
/// Largest payload.
const PAYLOAD_BYTES_MAX: usize = 256 * 1024;
/// A fire that comes no later than this is late and not missed: a node may restart, or another take over.
pub const LATE_MAX: Duration = Duration::from_secs(60);
/// Fires that one look backwards finds at most: those of the longest window, a minute apart, and what is merely late.
const OWED_MAX: usize = 1_500;

/// One time at which a schedule fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fire {
    /// The scheduled time, which names it.
    pub at: Timestamp,
    /// When its event is made.
    pub due: Timestamp,
}

/// A schedule that was checked, ready to be asked.
#[derive(Clone, Debug)]
pub struct Schedule {
    rule: Rule,
    starts: Option<Timestamp>,
    ends: Option<Timestamp>,
    cron: Option<String>,
    delay: Duration,
    jitter: Duration,
    catch_up: CatchUp,
    trigger: String,
}

#[derive(Clone, Debug)]
enum Rule {
    /// Times of a clock. `follows` tells those that go with it from those that are fixed times of day.
    Clock { calendar: Calendar, zone: Zone, follows: bool },
    /// So many seconds apart, counted from an instant.
    Elapsed { from: i64, step: i64 },
}

impl Schedule {
    /// Checks `spec` of the trigger with this id as a whole.
    ///
    /// # Errors
    /// Every part that is not valid, with its path.
    pub fn compile(spec: &Spec, trigger: &str) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut complain = |path: &str, message: String| {
            errors.push(FieldError { path: format!("source.{path}"), message });
        };
        let zone = Zone::named(&spec.timezone);
        if zone.is_none() {
            complain("timezone", format!("{:?} is no IANA time zone, e.g. Europe/Berlin", spec.timezone));
        }
        let mut instant = |path: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(parse_rfc3339);
            if parsed == Some(None) {
                complain(path, "must be RFC 3339, e.g. 2026-11-24T13:34:42Z".to_owned());
            }
            parsed.flatten()
        };
        // Whole minutes, as everything else that is scheduled.
        let starts = instant("startsAt", &spec.starts_at).map(|at| Timestamp(at.0 - at.0.rem_euclid(60_000_000)));
        let ends = instant("endsAt", &spec.ends_at);
        check_limits(spec, &mut complain);
        let zone = zone.or_else(|| Zone::named("UTC"));
        let rule = zone.and_then(|zone| match rule(&spec.when, zone, starts) {
            Ok(rule) => Some(rule),
            Err((path, message)) => {
                complain(path, message);
                None
            }
        });
        let Some((rule, cron)) = rule.filter(|_| errors.is_empty()) else { return Err(errors) };
        let schedule = Self {
            rule,
            starts,
            ends,
            cron,
            delay: Duration::from_secs(60 * u64::from(spec.delay_minutes)),
            jitter: Duration::from_secs(u64::from(spec.jitter_seconds)),
            catch_up: spec.catch_up.clone(),
            trigger: trigger.to_owned(),
        };
        match schedule.next(starts.map_or(Timestamp(0), |starts| Timestamp(starts.0 - 1))) {
            Some(_) => Ok(schedule),
            None => Err(vec![FieldError {
                path: "source.when".to_owned(),
                message: "there is no such time, or none before endsAt".to_owned(),
            }]),
        }
    }

    /// The same as a cron expression in its zone, if there is one.
    pub fn cron(&self) -> Option<&str> {
        self.cron.as_deref()
    }

    /// The first fire whose scheduled time is after `after`.
    pub fn next(&self, after: Timestamp) -> Option<Fire> {
        let after = self.starts.map_or(after, |starts| after.max(Timestamp(starts.0 - 1)));
        let seconds = after.0.div_euclid(1_000_000);
        let next = match &self.rule {
            Rule::Clock { calendar, zone, follows: true } => zone.next_shown(calendar, seconds),
            Rule::Clock { calendar, zone, follows: false } => zone.next_of_fixed(calendar, seconds),
            Rule::Elapsed { from, step } => Some(from + ((seconds - from).div_euclid(*step) + 1).max(0) * step),
        };
        let at = Timestamp::from_millis(next?.checked_mul(1_000)?);
        self.ends.is_none_or(|ends| at < ends).then(|| Fire { at, due: self.due(at) })
    }

    /// When the event of the fire scheduled for `at` is made.
    pub fn due(&self, at: Timestamp) -> Timestamp {
        at.plus(self.delay + self.jitter_of(at))
    }

    fn jitter_of(&self, at: Timestamp) -> Duration {
        let most = self.jitter.as_millis() as u64;
        if most == 0 {
            return Duration::ZERO;
        }
        let mut hash = blake3::Hasher::new_derive_key("fastn 2026 schedule jitter");
        hash.update(self.trigger.as_bytes()).update(&at.0.to_le_bytes());
        let drawn = crate::ids::first_128_bits(&hash.finalize()) % u128::from(most + 1);
        Duration::from_millis(drawn as u64)
    }

    /// The first fire, in the order of scheduled times, that is due after `instant`.
    pub fn next_due(&self, instant: Timestamp) -> Option<Fire> {
        let mut fire = self.next(self.before(instant))?;
        while fire.due <= instant {
            fire = self.next(fire.at)?;
        }
        Some(fire)
    }

    /// A scheduled time before which nothing is due at `instant` or later.
    fn before(&self, instant: Timestamp) -> Timestamp {
        let most = i64::try_from((self.delay + self.jitter).as_micros()).unwrap_or(i64::MAX);
        Timestamp(instant.0.saturating_sub(most).saturating_sub(1))
    }

    /// The fires due after `after` and not after `now` that are to be made now: those that are merely late, and of those
    /// that were missed what the policy says. In the order of their scheduled times.
    pub fn owed(&self, after: Timestamp, now: Timestamp) -> Vec<Fire> {
        let ago = |time: Duration| Timestamp(now.0.saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)));
        let late = ago(LATE_MAX).max(after);
        let since = match &self.catch_up {
            CatchUp::None | CatchUp::Last => late,
            CatchUp::All { window_minutes } => {
                ago(Duration::from_secs(60 * u64::from(*window_minutes))).min(late).max(after)
            }
        };
        let owed = self.due_between(since, now);
        if owed.is_empty() && self.catch_up == CatchUp::Last {
            return self.last_due(after, now).into_iter().collect();
        }
        owed
    }

    fn due_between(&self, after: Timestamp, until: Timestamp) -> Vec<Fire> {
        let mut owed = Vec::new();
        let mut next = self.next(self.before(after));
        while let Some(fire) = next.filter(|fire| fire.at <= until && owed.len() < OWED_MAX) {
            if fire.due > after && fire.due <= until {
                owed.push(fire);
            }
            next = self.next(fire.at);
        }
        owed
    }

    /// The last fire due after `after` and not after `until`. It is looked for in ever longer times before `until`.
    fn last_due(&self, after: Timestamp, until: Timestamp) -> Option<Fire> {
        let hours = [1, 24, 32 * 24, 367 * 24, 9 * 367 * 24];
        let whole = until.since(after);
        for time in hours.map(|hours| Duration::from_secs(hours * 3_600).min(whole)) {
            let from = Timestamp(until.0 - i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
            if let Some(last) = self.due_between(from, until).pop() {
                return Some(last);
            }
            if time == whole {
                return None;
            }
        }
        None
    }

    /// Scheduled times at `from` and after it, before `to`, at most `max`.
    pub fn between(&self, from: Timestamp, to: Timestamp, max: usize) -> Vec<Timestamp> {
        let first = self.next(Timestamp(from.0.saturating_sub(1)));
        let all = std::iter::successors(first, |fire| self.next(fire.at));
        all.map(|fire| fire.at).take_while(|at| *at < to).take(max).collect()
    }
}

type Complaint = (&'static str, String);

fn check_limits(spec: &Spec, complain: &mut impl FnMut(&str, String)) {
    if spec.jitter_seconds > JITTER_SECONDS_MAX {
        complain("jitterSeconds", format!("must be 0 to {JITTER_SECONDS_MAX}"));
    }
    if spec.delay_minutes > DELAY_MINUTES_MAX {
        complain("delayMinutes", format!("must be 0 to {DELAY_MINUTES_MAX}"));
    }
    if let CatchUp::All { window_minutes } = spec.catch_up
        && !(1..=WINDOW_MINUTES_MAX).contains(&window_minutes)
    {
        complain("catchUp.windowMinutes", format!("must be 1 to {WINDOW_MINUTES_MAX}"));
    }
    if spec.auto_disable.failures > 1_000 {
        complain("autoDisable.failures", "must be 0 to 1000".to_owned());
    }
    if spec.auto_disable.cooldown_minutes > 43_200 {
        complain("autoDisable.cooldownMinutes", "must be 0 to 43200".to_owned());
    }
    if spec.payload.as_ref().is_some_and(|payload| payload.to_string().len() > PAYLOAD_BYTES_MAX) {
        complain("payload", format!("must be at most {PAYLOAD_BYTES_MAX} bytes of JSON"));
    }
}

fn rule(when: &When, zone: Zone, starts: Option<Timestamp>) -> Result<(Rule, Option<String>), Complaint> {
    let every_day = || Days::Cron { of_month: ALL_DAYS, of_week: ALL_WEEKDAYS, either: false };
    let fixed = |calendar, zone| Rule::Clock { calendar, zone, follows: false };
    Ok(match when {
        When::Interval { every, unit } => return interval(u64::from(*every), *unit, zone, starts),
        When::Daily { at } => {
            let minute = time_of_day(at)?;
            (fixed(Calendar::daily_at(minute, every_day()), zone), Some(format!("{} * * *", clock(minute))))
        }
        When::Weekly { days, at } => {
            let minute = time_of_day(at)?;
            let bits = days.iter().fold(0, |bits, day| bits | 1 << number(*day));
            if bits == 0 {
                return Err(("when.days", "name at least one day".to_owned()));
            }
            let names: Vec<String> = (0..7).filter(|day| bits & (1 << day) != 0).map(|day| day.to_string()).collect();
            let days = Days::Cron { of_month: ALL_DAYS, of_week: bits, either: false };
            let cron = format!("{} * * {}", clock(minute), names.join(","));
            (fixed(Calendar::daily_at(minute, days), zone), Some(cron))
        }
        When::Monthly { day, at } => {
            let minute = time_of_day(at)?;
            if !(1..=31).contains(day) {
                return Err(("when.day", "must be 1 to 31".to_owned()));
            }
            // Cron leaves out the months that have no such day.
            let cron = (*day <= 28).then(|| format!("{} {day} * *", clock(minute)));
            (fixed(Calendar::daily_at(minute, Days::OfMonth(i64::from(*day))), zone), cron)
        }
        When::Cron { expression } => {
            let cron = cron::parse(expression).map_err(|message| ("when.expression", message))?;
            (Rule::Clock { calendar: cron.calendar, zone, follows: cron.follows_clock }, Some(cron.text))
        }
    })
}

/// An interval goes with the clock where a cron expression says the same; else time is counted, from the start or the epoch.
fn interval(
    every: u64,
    unit: Unit,
    zone: Zone,
    starts: Option<Timestamp>,
) -> Result<(Rule, Option<String>), Complaint> {
    let minutes = match unit {
        Unit::Minutes => every,
        Unit::Hours => every * 60,
        Unit::Days => every * 1_440,
    };
    if minutes == 0 || minutes > INTERVAL_MINUTES_MAX {
        return Err(("when.every", "an interval is at least 1 minute and at most 366 days".to_owned()));
    }
    let from = starts.map(|starts| starts.0.div_euclid(1_000_000));
    if unit == Unit::Days {
        let from = from.map_or(0, |from| zone.minute_at(from));
        let (day, minute) = (from.div_euclid(calendar::DAY_MINUTES), from.rem_euclid(calendar::DAY_MINUTES));
        let days = Days::Every { days: every as i64, from: day };
        let calendar = Calendar::daily_at(minute as u32, days);
        let cron = (every == 1).then(|| format!("{} * * *", clock(minute as u32)));
        return Ok((Rule::Clock { calendar, zone, follows: false }, cron));
    }
    let cron = match (from, minutes) {
        (None, 1) => Some("* * * * *".to_owned()),
        (None, 60) => Some("0 * * * *".to_owned()),
        (None, 2..60) if 60 % minutes == 0 => Some(format!("*/{minutes} * * * *")),
        (None, 120..=720) if minutes % 60 == 0 && 1_440 % minutes == 0 => Some(format!("0 */{} * * *", minutes / 60)),
        _ => None,
    };
    let rule = match cron.as_deref().map(cron::parse) {
        Some(Ok(cron)) => Rule::Clock { calendar: cron.calendar, zone, follows: true },
        _ => Rule::Elapsed { from: from.unwrap_or(0), step: minutes as i64 * 60 },
    };
    Ok((rule, cron))
}

fn number(day: Weekday) -> u8 {
    match day {
        Weekday::Sun => 0,
        Weekday::Mon => 1,
        Weekday::Tue => 2,
        Weekday::Wed => 3,
        Weekday::Thu => 4,
        Weekday::Fri => 5,
        Weekday::Sat => 6,
    }
}

/// Minute and hour as cron has them.
fn clock(minute: u32) -> String {
    format!("{} {}", minute % 60, minute / 60)
}

fn time_of_day(text: &str) -> Result<u32, Complaint> {
    let parsed = text.split_once(':').and_then(|(hour, minute)| {
        let part = |text: &str| (text.len() == 2).then(|| text.parse::<u32>().ok())?;
        Some((part(hour).filter(|hour| *hour < 24)?, part(minute).filter(|minute| *minute < 60)?))
    });
    parsed
        .map(|(hour, minute)| hour * 60 + minute)
        .ok_or_else(|| ("when.at", format!("{text:?} is no time of day; write HH:MM, e.g. 09:00")))
}

#[cfg(test)]
mod tests;
