//! The processor under seeded simulation: crashes, lost acknowledgements, zombie writers, duplicates, evictions, and an
//! oracle.
//!
//! - `cargo test -p fastn-pipeline --test simulation` runs [`SEEDS`] seeds.
//! - `FASTN_SIM_SEED=123` runs one, and prints what happened.
//! - `FASTN_SIM_FOREVER=1` runs without end, from a seed of the clock.
//! - `--features sabotage` breaks rules on purpose, one at a time, and requires that each is found.

mod catalog;
mod limits;
mod oracle;
mod random;
mod script;
mod sink;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fastn_pipeline::processor::machine::Limits;

use random::Random;
use world::{Odds, World};

/// Seeds of one run in CI.
const SEEDS: u64 = 10_000;
/// Steps with faults, and events sent during them.
const STEPS: u64 = 1_500;
const EVENTS: u64 = 45;
/// Steps within which everything must have ended once the faults are over.
const DRAIN_STEPS: u64 = 200_000;

fn limits() -> Limits {
    Limits {
        // Longer than any run, whose time jumps from timer to timer.
        dedup_window: Duration::from_secs(1_000_000 * 3_600),
        starts_in_flight_max: 3,
        queued_payload_bytes_max: 700,
        running_payloads_max: 1,
        admitted_events_max: 3,
        clean_records_min: 25,
        clean_batch_max: 2,
        ..Limits::default()
    }
}

/// Runs one seed; panics with what is wrong.
fn run(seed: u64, limits: Limits, tracing: bool) -> World {
    let mut dice = Random::new(seed ^ 0xfa57);
    // Whole runs differ in what goes wrong, so that rare faults meet quiet as well as busy times.
    let odds = Odds {
        crash: dice.below(4),
        zombie: dice.below(3),
        lost_acknowledgement: dice.below(6),
        eviction: dice.below(30),
    };
    let mut world = World::new(seed, limits, odds, dice.chance(50));
    world.tracing = tracing;
    for _ in 0..STEPS {
        if world.random.below(STEPS) < EVENTS {
            world.send();
        }
        world.step(true);
    }
    world.tell(|| "the faults are over".to_owned());
    world.end_zombies();
    world.send();
    let mut steps = 0;
    while !(world.is_idle() && world.machine().live() == 0 && world.machine().open_batches() == 0) {
        world.step(false);
        steps += 1;
        assert!(steps < DRAIN_STEPS, "never ended: {:?}", world.machine().live_lines());
    }
    oracle::check(&world);
    world
}

/// Why a seed failed, if it did.
fn failure(seed: u64, limits: Limits) -> Option<String> {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(seed, limits, false)));
    outcome.err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

/// Runs seeds from `from` on two threads until `count` are done or one fails; the first failing one.
fn search(from: u64, count: u64, limits: &Limits) -> Option<(u64, String)> {
    let (next, found) = (AtomicU64::new(from), AtomicBool::new(false));
    let failures = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !found.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from.saturating_add(count) {
                        return;
                    }
                    if let Some(why) = failure(seed, limits.clone()) {
                        found.store(true, Ordering::Relaxed);
                        failures.lock().expect("no panic holds it").push((seed, why));
                    }
                }
            });
        }
    });
    failures.into_inner().expect("no panic holds it").into_iter().min()
}

/// A panic of a run is told once, with its seed.
fn quiet() {
    std::panic::set_hook(Box::new(|_| {}));
}

/// Property: whatever crashes, is lost, is sent twice or goes on after it lost the partition: every event is admitted once,
/// every execution ends once, no result that a later call has shown is computed again, sequences keep their order, and no
/// quota, rate or gate is passed.
#[test]
fn seeds() {
    if let Some(seed) = std::env::var("FASTN_SIM_SEED").ok().and_then(|seed| seed.parse().ok()) {
        let world = run(seed, limits(), true);
        println!("seed {seed}: {} events, {} records", world.events.len(), world.journal.len());
        return;
    }
    quiet();
    let forever = std::env::var("FASTN_SIM_FOREVER").is_ok();
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut from = if forever { clock.as_secs() << 20 } else { 0 };
    loop {
        let began = std::time::Instant::now();
        let found = search(from, SEEDS, &limits());
        let _ = std::panic::take_hook();
        if let Some((seed, why)) = found {
            panic!(
                "seed {seed}: {why}\nFASTN_SIM_SEED={seed} cargo test -p fastn-pipeline --test simulation -- --nocapture"
            );
        }
        println!("{SEEDS} seeds from {from} in {:.1} s", began.elapsed().as_secs_f64());
        if !forever {
            return;
        }
        quiet();
        from += SEEDS;
    }
}

/// Property: the simulation finds each rule of the processor that is broken on purpose.
#[cfg(feature = "sabotage")]
#[test]
fn finds_sabotage() {
    use fastn_pipeline::processor::machine::Sabotage;

    quiet();
    let all = [
        Sabotage::NoBarrier,
        Sabotage::LazyEffects,
        Sabotage::NoEpochs,
        Sabotage::NoDedup,
        Sabotage::ForgetfulCleaner,
        Sabotage::ForgetfulCounters,
        Sabotage::HalfErasure,
    ];
    let found: Vec<_> = all
        .into_iter()
        .map(|sabotage| (sabotage, search(0, SEEDS, &Limits { sabotage: Some(sabotage), ..limits() })))
        .collect();
    let _ = std::panic::take_hook();
    for (sabotage, found) in found {
        let (seed, why) = found.unwrap_or_else(|| panic!("{sabotage:?} was not found in {SEEDS} seeds"));
        println!("{sabotage:?}: seed {seed}: {}", why.chars().take(160).collect::<String>());
    }
}
