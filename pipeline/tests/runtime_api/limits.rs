//! Limits: memory, CPU, stack and the number of sandboxes; and that one sandbox's trouble is not its neighbour's.

use fastn_pipeline::runtime::{ErrorKind, Job, OpResult, PoolConfig, TurnState};

use crate::driver::{Driver, context, null, program};

fn small() -> Driver {
    limited(100, 250)
}

fn limited(slice_cpu_ms_max: u64, execution_cpu_ms_max: u64) -> Driver {
    let memory_bytes_max = 64 << 20;
    let config =
        PoolConfig { threads: 1, memory_bytes_max, slice_cpu_ms_max, execution_cpu_ms_max, ..PoolConfig::default() };
    Driver::with(&config)
}

fn done(key: &str) -> Vec<OpResult> {
    vec![OpResult { key: key.into(), at_ms: 0, outcome: Ok("null".into()) }]
}

const WAITS: &str =
    "export default async function (ctx) { const a = { n: ctx.input }; await ctx.sleep(1); return a.n }";

/// Property: memory bombs of every shape end with a Memory error.
#[test]
fn memory_bombs() {
    let driver = limited(60_000, 60_000);
    for bomb in [
        "'x'.repeat(1e9)",
        "let a = []; for (;;) a.push(new Array(1000).fill(1))",
        "let s = 'x'; for (;;) s += s",
        "const b = new Uint8Array(2 ** 30); b[1] = 1",
        "let m = new Map(); for (let i = 0;; i++) m.set(i, { i })",
        "JSON.stringify(new Array(3e7).fill('xxxxxxxx'))",
    ] {
        let run = driver.run(&format!("export default async function () {{\n{bomb}\n}}"), "{}", null);
        assert_eq!(run.error().kind, ErrorKind::Memory, "{bomb}: {:?}", run.error());
    }
    assert_eq!(driver.run(WAITS, "5", null).output(), "5");
}

/// Property: an endless loop of any kind ends with a Cpu error, cannot be caught, and names its line where it has one.
#[test]
fn runaways() {
    let driver = small();
    for body in [
        "for (;;) {}",
        "for (;;) Math.abs(-1)",
        "for (;;) { try { for (;;) {} } catch {} finally {} }",
        "while (true) await null",
        "const f = () => Promise.resolve().then(f); await f()",
        "/(a+)+$/.test('a'.repeat(40) + 'b')",
        "[3, 1, 2].sort(() => { for (;;) {} })",
    ] {
        let source = format!("interface X {{}}\nexport default async function () {{\n  {body};\n}}");
        let run = driver.run(&source, "{}", null);
        assert_eq!(run.error().kind, ErrorKind::Cpu, "{body}: {:?}", run.error());
        if body.contains("Math") {
            assert_eq!(run.error().line, Some(3), "{:?}", run.error());
        }
    }
    assert_eq!(driver.run(WAITS, "5", null).output(), "5");
}

/// Property: CPU time is also counted over all slices of an execution.
#[test]
fn the_execution_has_a_limit_too() {
    let source = "export default async function (ctx) {
        for (;;) { const until = 3e5; for (let i = 0, x = 0; i < until; i++) x += i; await ctx.sleep(1) }
    }";
    let run = small().run(source, "{}", null);
    assert_eq!(run.error().kind, ErrorKind::Cpu);
    assert!(run.turns > 1 && run.error().message.contains("execution"), "{} {:?}", run.turns, run.error());
}

/// Property: deep recursion is an error that can be caught, in plain calls, getters, JSON, sorting and regular expressions.
#[test]
fn deep_recursion() {
    let driver = Driver::new();
    for body in [
        "const f = () => f() + 1; f()",
        "const o = {}; Object.defineProperty(o, 'x', { get() { return this.x } }); o.x",
        "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; JSON.stringify(a)",
        "JSON.parse('['.repeat(1e6))",
        "const f = async () => { await f() }; await f()",
        "const p = new Proxy({}, { get: (t, k, r) => r[k] }); p.x",
    ] {
        let caught = format!("export default async function () {{ try {{ {body} }} catch (e) {{ return e.name }} }}");
        let run = driver.run(&caught, "{}", null);
        assert!(run.output().contains("Error"), "{body}: {:?}", run.output);
    }
}

/// Property: whatever one sandbox dies of, a neighbour that waits on the same thread goes on untouched.
#[test]
fn neighbours_live_on() {
    let driver = small();
    let waits = program(WAITS);
    for slot in 10..14 {
        assert!(matches!(driver.start(slot, &waits, context(&slot.to_string()), vec![]).state, TurnState::Waiting));
    }
    for body in [
        "for (;;) {}",
        "'x'.repeat(1e9)",
        "const f = () => f(); f()",
        "Array.prototype.map = Promise.prototype.then = null; throw 1",
    ] {
        let bad = program(&format!("export default async function () {{ {body} }}"));
        assert!(matches!(driver.start(1, &bad, context("{}"), vec![]).state, TurnState::Failed { .. }), "{body}");
    }
    for slot in (10..14).rev() {
        driver.pool.submit(Job::Resume { slot, results: done("sleep") });
        let turn = driver.turn();
        let TurnState::Completed { output, .. } = turn.state else { panic!("{:?}", turn.state) };
        assert_eq!((turn.slot, output), (slot, slot.to_string()));
    }
}

/// Property: past the limit the longest-waiting sandbox is dropped without a word; its resume answers Evicted, and a start
/// with all results completes it.
#[test]
fn eviction() {
    let driver = Driver::with(&PoolConfig { threads: 1, sandboxes_max: 2, ..PoolConfig::default() });
    let waits = program(WAITS);
    for slot in 1..=3 {
        driver.start(slot, &waits, context(&slot.to_string()), vec![]);
    }
    let resume = |slot| {
        driver.pool.submit(Job::Resume { slot, results: done("sleep") });
        driver.turn().state
    };
    assert!(matches!(resume(1), TurnState::Evicted));
    assert!(matches!(resume(2), TurnState::Completed { .. }));
    assert!(matches!(resume(3), TurnState::Completed { .. }));
    assert!(matches!(resume(3), TurnState::Evicted), "a finished sandbox is gone");
    let TurnState::Completed { output, .. } = driver.start(1, &waits, context("1"), done("sleep")).state else {
        panic!()
    };
    assert_eq!(output, "1");
    driver.start(4, &waits, context("4"), vec![]);
    driver.pool.submit(Job::Drop { slot: 4 });
    assert!(matches!(resume(4), TurnState::Evicted));
}

/// Property: images past their memory limit are dropped like sandboxes past their number.
#[test]
fn eviction_by_memory() {
    let driver = Driver::with(&PoolConfig { threads: 1, image_bytes_max: 4 << 20, ..PoolConfig::default() });
    let big = program(
        "export default async function (ctx) { const a = new Uint8Array(3e6).fill(1); await ctx.sleep(1); return a[7] }",
    );
    for slot in 1..=3 {
        driver.start(slot, &big, context("{}"), vec![]);
    }
    let mut outcomes = Vec::new();
    for slot in 1..=3 {
        driver.pool.submit(Job::Resume { slot, results: done("sleep") });
        outcomes.push(match driver.turn().state {
            TurnState::Evicted => "evicted".to_owned(),
            TurnState::Completed { output, .. } => output,
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(outcomes, ["evicted", "1", "1"]);
}
