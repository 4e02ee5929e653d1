//! What must be true after a fault: nothing lost, nothing admitted twice, no step computed again after its result was seen.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::time::{Duration, Instant};

use super::load::Accepted;
use crate::sink::Call;

/// A node that may believe to own what it has lost: it was frozen, or cut off.
#[derive(Clone, Copy, Debug)]
pub struct Zombie {
    /// Its process.
    pub pid: u32,
    /// When it was frozen or cut off.
    pub from: Instant,
    /// When it must have noticed.
    pub until: Instant,
}

/// What Activity shows for one event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shown {
    /// Its executions.
    pub executions: usize,
    /// Those that completed.
    pub completed: usize,
    /// The steps of all its executions.
    pub steps: usize,
}

/// Steps of an execution of [`workflow`].
const STEPS: usize = 2;

/// The outcome of one run.
#[derive(Clone, Debug)]
pub struct Report {
    /// The scenario.
    pub name: String,
    /// Events answered 202.
    pub accepted: usize,
    /// Of them, those with a completed execution.
    pub completed: usize,
    /// Of them, those without, or without their last call at the sink.
    pub lost: Vec<String>,
    /// Events with two executions, or whose step came with two idempotency keys.
    pub admitted_twice: Vec<String>,
    /// Events of which a call was made again after a later one carried its result, or made with another body.
    pub computed_again: Vec<String>,
    /// Completed events of which Activity shows a step too many or too few.
    pub shown_wrong: Vec<String>,
    /// Calls of a zombie that were made after somebody else had taken over; each had the key of the other's call.
    pub late_calls: usize,
    /// Longest time in which no call of some partition arrived although its events were accepted.
    pub stall: Duration,
    /// That partition.
    pub stall_partition: u32,
}

impl Report {
    /// Judges a run. `began..ended` is the time of the load.
    pub fn judge(
        name: &str,
        (began, ended): (Instant, Instant),
        accepted: &HashMap<String, Accepted>,
        calls: &[Call],
        shown: &HashMap<String, Shown>,
        zombies: &[Zombie],
    ) -> Self {
        let by_event = by_event(calls);
        let none: Vec<Stage<'_>> = Vec::new();
        let mut report = Self::empty(name, accepted.len());
        for id in accepted.keys() {
            let stages = by_event.get(id.as_str()).unwrap_or(&none);
            let seen = shown.get(id).copied().unwrap_or_default();
            let ended = stages.iter().any(|stage| stage.second);
            report.completed += usize::from(seen.completed > 0);
            if seen.completed == 0 || !ended {
                report.lost.push(id.clone());
            }
            if seen.completed > 0 && seen.steps != STEPS * seen.executions {
                report.shown_wrong.push(id.clone());
            }
            if seen.executions > 1 || keys(stages, false) > 1 || keys(stages, true) > 1 {
                report.admitted_twice.push(id.clone());
            }
            let (late, own): (Vec<&Stage<'_>>, Vec<&Stage<'_>>) =
                stages.iter().partition(|stage| is_late(stage.call, stages, zombies));
            report.late_calls += late.len();
            if computed_again(&own) {
                report.computed_again.push(id.clone());
            }
        }
        (report.stall, report.stall_partition) = stall(accepted, calls, began, ended);
        report
    }

    fn empty(name: &str, accepted: usize) -> Self {
        Self {
            name: name.to_owned(),
            accepted,
            completed: 0,
            lost: Vec::new(),
            admitted_twice: Vec::new(),
            computed_again: Vec::new(),
            shown_wrong: Vec::new(),
            late_calls: 0,
            stall: Duration::ZERO,
            stall_partition: 0,
        }
    }

    /// Whether all zeros are zero.
    pub fn holds(&self) -> bool {
        self.lost.is_empty()
            && self.admitted_twice.is_empty()
            && self.computed_again.is_empty()
            && self.shown_wrong.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: accepted {}, completed {}, lost {}, admitted twice {}, computed again after seen {}, steps \
             shown wrong {}, late calls of a zombie {}, longest stall {:.1} s (partition {})",
            self.name,
            self.accepted,
            self.completed,
            self.lost.len(),
            self.admitted_twice.len(),
            self.computed_again.len(),
            self.shown_wrong.len(),
            self.late_calls,
            self.stall.as_secs_f64(),
            self.stall_partition,
        )?;
        for (what, events) in [
            ("lost", &self.lost),
            ("twice", &self.admitted_twice),
            ("again", &self.computed_again),
            ("shown wrong", &self.shown_wrong),
        ] {
            for event in events.iter().take(5) {
                write!(f, "\n  {what}: {event}")?;
            }
        }
        Ok(())
    }
}

/// One call of an event; `/first/<event>` or `/second/<event>`.
#[derive(Clone, Copy, Debug)]
struct Stage<'a> {
    second: bool,
    call: &'a Call,
}

fn by_event(calls: &[Call]) -> HashMap<&str, Vec<Stage<'_>>> {
    let mut events: HashMap<&str, Vec<Stage<'_>>> = HashMap::new();
    for call in calls {
        let (second, event) = match (call.path.strip_prefix("/first/"), call.path.strip_prefix("/second/")) {
            (Some(event), _) => (false, event),
            (_, Some(event)) => (true, event),
            _ => continue,
        };
        events.entry(event).or_default().push(Stage { second, call });
    }
    events
}

/// How many idempotency keys a stage came with.
fn keys(stages: &[Stage<'_>], second: bool) -> usize {
    stages.iter().filter(|stage| stage.second == second).map(|stage| &stage.call.key).collect::<HashSet<_>>().len()
}

/// Whether a zombie made this call, in its time, after another process had called for the same event.
fn is_late(call: &Call, stages: &[Stage<'_>], zombies: &[Zombie]) -> bool {
    zombies.iter().any(|zombie| {
        let in_its_time = call.from == Some(zombie.pid) && (zombie.from..=zombie.until).contains(&call.at);
        let taken = |other: &Call| other.from != call.from && (zombie.from..=call.at).contains(&other.at);
        in_its_time && stages.iter().any(|stage| taken(stage.call))
    })
}

/// Whether the first call came again after a second had carried its result, or a key came with two bodies.
fn computed_again(stages: &[&Stage<'_>]) -> bool {
    let mut bodies: HashMap<&str, &str> = HashMap::new();
    let mut second_seen = false;
    stages.iter().any(|stage| {
        second_seen |= stage.second;
        let other_body = *bodies.entry(&stage.call.key).or_insert(&stage.call.body) != stage.call.body;
        other_body || (second_seen && !stage.second)
    })
}

/// The longest time in which a partition with accepted events saw no call, between the load's begin and end.
fn stall(accepted: &HashMap<String, Accepted>, calls: &[Call], began: Instant, ended: Instant) -> (Duration, u32) {
    let mut last: HashMap<u32, Instant> = accepted.values().map(|event| (event.partition, began)).collect();
    let mut worst = (Duration::ZERO, 0);
    let mut look = |partition: u32, from: Instant, to: Instant| {
        let idle = to.saturating_duration_since(from);
        if idle > worst.0 {
            worst = (idle, partition);
        }
    };
    for call in calls.iter().filter(|call| call.at <= ended) {
        let event = call.path.rsplit('/').next().unwrap_or_default();
        if let Some(known) = accepted.get(event) {
            let before = last.insert(known.partition, call.at).unwrap_or(began);
            look(known.partition, before, call.at);
        }
    }
    for (partition, at) in &last {
        look(*partition, *at, ended);
    }
    worst
}

/// The workflow of the load: two calls, the second with the first one's answer, which is never the same twice.
pub fn workflow(sink: &str) -> String {
    WORKFLOW.replace("SINK", sink)
}

const WORKFLOW: &str = r#"
export default async function (ctx: any) {
  const first = await fetch("SINK/first/" + ctx.event.id, { method: "POST", body: ctx.event.id });
  const seen = await first.json();
  const second = await fetch("SINK/second/" + ctx.event.id, { method: "POST", body: JSON.stringify({ n: seen.n }) });
  return (await second.json()).path;
}
"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, key: &str, body: &str, from: u32, at: Instant) -> Call {
        Call { key: key.to_owned(), path: path.to_owned(), body: body.to_owned(), from: Some(from), at }
    }

    fn judge(calls: &[Call], shown: Shown, zombies: &[Zombie], began: Instant) -> Report {
        let accepted = HashMap::from([("a-1".to_owned(), Accepted { at: began, partition: 3 })]);
        let shown = HashMap::from([("a-1".to_owned(), shown)]);
        Report::judge("test", (began, began + Duration::from_secs(9)), &accepted, calls, &shown, zombies)
    }

    /// Property: the oracle sees an event that is lost, one that is admitted twice, a step that is computed again, and the
    /// longest stall; a retry before its result was seen is allowed, and so is a zombie's late call under the same key.
    #[test]
    fn the_oracle_sees_what_is_wrong() {
        let began = Instant::now();
        let at = |second: u64| began + Duration::from_secs(second);
        let good = Shown { executions: 1, completed: 1, steps: STEPS };
        let run = |calls: &[Call], zombies: &[Zombie]| judge(calls, good, zombies, began);
        let first = |from, when| call("/first/a-1", "k1", "a-1", from, at(when));
        let second = |body: &str, when| call("/second/a-1", "k2", body, 1, at(when));

        let fine = run(&[first(1, 1), first(2, 2), second("7", 3)], &[]);
        assert!(fine.holds() && fine.completed == 1, "{fine}");
        assert_eq!((fine.stall, fine.stall_partition), (Duration::from_secs(6), 3));
        assert_eq!(run(&[first(1, 1)], &[]).lost.len(), 1);
        assert_eq!(judge(&[first(1, 1), second("7", 2)], Shown::default(), &[], began).lost.len(), 1);
        let doubled = Shown { steps: 3, ..good };
        assert_eq!(judge(&[first(1, 1), second("7", 2)], doubled, &[], began).shown_wrong.len(), 1);
        let two = Shown { executions: 2, completed: 2, steps: 4 };
        assert_eq!(judge(&[first(1, 1), second("7", 2)], two, &[], began).admitted_twice.len(), 1);
        let other_key = call("/first/a-1", "k9", "a-1", 1, at(2));
        assert_eq!(run(&[first(1, 1), other_key, second("7", 3)], &[]).admitted_twice.len(), 1);
        assert_eq!(run(&[first(1, 1), second("7", 2), second("8", 3)], &[]).computed_again.len(), 1);
        let again = [first(1, 1), second("7", 3), first(2, 4)];
        assert_eq!(run(&again, &[]).computed_again.len(), 1);
        let zombie = Zombie { pid: 2, from: at(0), until: at(5) };
        let late = run(&again, &[zombie]);
        assert!(late.holds() && late.late_calls == 1, "{late}");
        let after_it = Zombie { until: at(3), ..zombie };
        assert_eq!(run(&again, &[after_it]).computed_again.len(), 1, "a node that has noticed is no zombie");
    }
}
