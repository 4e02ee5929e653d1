//! Steps: keys, attempts, retries, timeouts and marks.

use fastn_pipeline::runtime::{ErrorKind, OpKind, StepStatus};

use crate::driver::{Answer, Driver, STARTED_MS, failure, null, response};

fn run(source: &str) -> crate::driver::Run {
    Driver::new().run(source, "{}", |_| response(200, "{}"))
}

/// Property: keys are made of names and occurrences, nested in their steps, also when steps run at the same time and
/// await helpers that do nothing durable; characters with a meaning in keys are escaped.
#[test]
fn keys() {
    let run = run("const helper = async () => { await null; await null; return 'https://a.test' };
        async function load(n) { await helper(); await fetch(await helper()); await null; return fetch('https://b.test/' + n) }
        export default async function (ctx) {
            await fetch('https://a.test');
            await Promise.all([ctx.step('a', () => load(1)), ctx.step('b', () => load(2)), fetch('https://c.test')]);
            for (let i = 0; i < 3; i++) await ctx.step('loop', async () => { await ctx.step('in/ner', () => load(i)) });
            await fetch('https://a.test');
        }");
    let mut keys = run.keys();
    keys.sort_unstable();
    let mut expected = vec!["fetch", "fetch#1", "fetch#2", "a/fetch", "a/fetch#1", "b/fetch", "b/fetch#1"];
    expected.extend([
        "loop/in%2fner/fetch",
        "loop/in%2fner/fetch#1",
        "loop#1/in%2fner/fetch",
        "loop#1/in%2fner/fetch#1",
    ]);
    expected.extend(["loop#2/in%2fner/fetch", "loop#2/in%2fner/fetch#1"]);
    expected.sort_unstable();
    assert_eq!(keys, expected, "{:?}", run.error);
    assert_eq!(run.ops.iter().find(|op| op.key == "loop/in%2fner/fetch").unwrap().step, "in/ner");
}

const RETRIED: &str = "export default async function (ctx) {
    return ctx.step('charge', async () => {
        const r = await fetch('https://pay.test', { method: 'POST' });
        if (!r.ok) throw new Error('status ' + r.status);
        return r.status;
    }, { retry: { maxAttempts: 4, initialInterval: '2s', backoffCoefficient: 3, maxInterval: 7000 } });
}";

/// Property: a step with a retry policy runs again after durable sleeps that grow to their limit; its idempotency key
/// stays the same while its key names the attempt.
#[test]
fn retries_back_off() {
    let mut calls = 0;
    let run = Driver::new().run(RETRIED, "{}", |op| match op.kind {
        OpKind::Sleep { .. } => Ok("null".into()),
        _ => {
            calls += 1;
            response(if calls < 4 { 503 } else { 200 }, "")
        }
    });
    assert_eq!(run.output(), "200");
    let expected =
        ["charge/fetch", "charge~2", "charge~2/fetch", "charge~3", "charge~3/fetch", "charge~4", "charge~4/fetch"];
    assert_eq!(run.keys(), expected);
    assert!(run.ops.iter().filter(|op| op.key.ends_with("fetch")).all(|op| op.idempotency_step == "charge/fetch"));
    let waits = run.ops.iter().enumerate().filter_map(|(i, op)| match op.kind {
        OpKind::Sleep { until_ms } => Some(until_ms - STARTED_MS - 1_000 * i as i64),
        _ => None,
    });
    assert_eq!(waits.collect::<Vec<_>>(), [2_000, 6_000, 7_000]);
    let step = run.steps.iter().find(|mark| mark.kind == "step").unwrap();
    assert_eq!((step.attempts, step.status, step.key.as_str()), (4, StepStatus::Completed, "charge"));
}

/// Property: retries end after the last attempt with the error of that attempt, naming the step.
#[test]
fn retries_end() {
    let run = Driver::new().run(RETRIED, "{}", |op| match op.kind {
        OpKind::Sleep { .. } => Ok("null".into()),
        _ => failure(true),
    });
    assert_eq!(run.keys().iter().filter(|key| key.ends_with("fetch")).count(), 4);
    assert_eq!((run.error().kind, run.error().step.as_deref()), (ErrorKind::Transient, Some("charge")));
    let step = run.steps.iter().find(|mark| mark.kind == "step").unwrap();
    assert_eq!((step.attempts, step.status), (4, StepStatus::Failed));
}

/// Property: only what may pass is tried again: not faults of the code, not NonRetryableError, nothing without a policy.
#[test]
fn what_is_never_retried() {
    for (throws, kind) in
        [("undefined.x", ErrorKind::Code), ("(() => { throw new NonRetryableError('no') })()", ErrorKind::NonRetryable)]
    {
        let source = format!(
            "export default async function (ctx) {{ await ctx.step('s', async () => {{ {throws} }}, {{ retry: true }}) }}"
        );
        let run = Driver::new().run(&source, "{}", null);
        assert_eq!((run.error().kind, run.ops.len()), (kind, 0), "{throws}: {:?}", run.error());
    }
    let run = run("export default async function (ctx) { await ctx.step('s', () => { throw new Error('once') }) }");
    assert_eq!((run.error().kind, run.ops.len()), (ErrorKind::Code, 0));
}

/// Property: a RetryableError makes the next attempt wait at least as long as it says, and tells the same at the end.
#[test]
fn retry_after() {
    let source = "export default async function (ctx) {
        await ctx.step('s', () => { throw new RetryableError('later', { retryAfter: '9s' }) },
            { retry: { maxAttempts: 2, initialInterval: 1 } });
    }";
    let run = Driver::new().run(source, "{}", null);
    assert!(matches!(run.ops[0].kind, OpKind::Sleep { until_ms } if until_ms == STARTED_MS + 9_000), "{:?}", run.ops);
    assert_eq!((run.error().kind, run.error().retry_after_ms), (ErrorKind::Transient, Some(9_000)));
}

/// Property: a step that takes too long fails with a StepTimeoutError, and a late result changes nothing.
#[test]
fn a_step_times_out() {
    let source = "export default async function (ctx) {
        try { await ctx.step('slow', () => ctx.waitForEvent('never'), { timeout: 5000 }) }
        catch (e) { await ctx.sleep(1); return [e.name, e.message] }
    }";
    let mut order = Vec::new();
    let run = Driver::new().run(source, "{}", |op| {
        order.push(op.key.clone());
        Ok("null".into())
    });
    assert_eq!(run.output(), r#"["StepTimeoutError","step \"slow\" took longer than 5000 ms"]"#);
    assert_eq!(order, ["slow~timeout", "slow/waitForEvent", "sleep"], "the late event is delivered and ignored");
}

/// Property: the marks are complete, in the order of their beginning, with virtual times; long values are cut and say so.
#[test]
fn marks_are_complete() {
    let source = "export default async function (ctx) {
        await ctx.step('outer', async () => { await fetch('https://a.test/p?secret=1'); return 'é'.repeat(20000) });
        try { await ctx.step('bad', () => { throw new Error('no') }) } catch {}
    }";
    let run = Driver::new().run(source, "{}", |_| -> Answer { response(200, "ok") });
    let marks: Vec<_> = run.steps.iter().map(|m| (m.name.as_str(), m.kind.as_str(), m.status)).collect();
    let expected = [
        ("outer", "step", StepStatus::Completed),
        ("GET a.test/p", "fetch", StepStatus::Completed),
        ("bad", "step", StepStatus::Failed),
    ];
    assert_eq!(marks, expected);
    assert_eq!((run.steps[0].started_ms, run.steps[0].ended_ms), (STARTED_MS, Some(STARTED_MS + 1_000)));
    let output: serde_json::Value = serde_json::from_str(run.steps[0].output.as_ref().unwrap().as_str()).unwrap();
    assert_eq!(output["bytes"], 40_002);
    assert_eq!(run.steps[2].error.as_deref(), Some("Error: no"));
}
