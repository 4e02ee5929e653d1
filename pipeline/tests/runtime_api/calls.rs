//! Durable calls: what they ask for and what they give.

use fastn_pipeline::runtime::{LogLevel, OpKind, StateScope, StepStatus};
use serde_json::json;

use crate::driver::{Driver, STARTED_MS, failure, null, response};

/// Property: a workflow that transforms, fetches and transforms completes with what it returns, and asks for one call.
#[test]
fn a_small_workflow_completes() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            const r = await fetch('https://api.test/items', { method: 'post', body: JSON.stringify({ n: ctx.input.n + 1 }) });
            const data = await r.json();
            return { doubled: data.x * 2, status: r.status, type: r.headers.get('Content-Type') };
        }",
        r#"{"n":1}"#,
        |_| response(200, r#"{"x":21}"#),
    );
    assert_eq!(run.output(), r#"{"doubled":42,"status":200,"type":"application/json"}"#);
    assert_eq!(run.keys(), ["fetch"]);
    let OpKind::Fetch { method, body, timeout_ms, .. } = &run.ops[0].kind else { panic!("{:?}", run.ops) };
    assert_eq!((method.as_str(), *timeout_ms), ("POST", 30_000));
    assert_eq!(json!(body), json!({ "text": "{\"n\":2}" }));
}

/// Property: every durable call arrives as the request that it stands for, with its arguments and durations.
#[test]
fn every_call_becomes_its_request() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            await ctx.sleep('1h 30m');
            await ctx.sleep('PT1M');
            await ctx.sleep(new Date(Date.now() + 5));
            await ctx.waitForEvent({ type: 'paid', id: 7 }, { timeout: '2d' });
            await ctx.emit({ type: 'done', data: { z: 1, a: 2 } });
            await ctx.approval({ title: 'Ship it?', timeout: 1000 });
            await fastn.flow.invoke('other', { x: 1 });
            await fastn.flow.invokeAsync('other');
            await fastn.state.get('k');
            await fastn.state.set('k', [1], { scope: 'INVOCATION', ttl: '1m' });
            await fastn.state.delete('k');
            await fastn.secrets.get('TOKEN');
            await fastn.envConfig.get('BASE');
            await fastn.connector.slack.postMessage({ text: 'hi' });
        }",
        "{}",
        null,
    );
    assert_eq!(run.output(), "null");
    let kinds: Vec<_> = run.ops.iter().map(|op| serde_json::to_string(&op.kind).unwrap()).collect();
    assert!(matches!(run.ops[0].kind, OpKind::Sleep { until_ms } if until_ms == STARTED_MS + 90 * 60_000));
    assert!(matches!(run.ops[1].kind, OpKind::Sleep { until_ms } if until_ms == STARTED_MS + 1_000 + 60_000));
    assert!(matches!(run.ops[2].kind, OpKind::Sleep { until_ms } if until_ms == STARTED_MS + 2_000 + 5));
    assert_eq!(kinds[3], r#"{"wait_for_event":{"filter":{"type":"paid","id":7},"timeoutMs":172800000}}"#);
    let OpKind::Emit { event } = &run.ops[4].kind else { panic!("{kinds:?}") };
    assert_eq!(event.as_str(), r#"{"type":"done","data":{"z":1,"a":2}}"#, "the order of members is kept");
    assert_eq!(kinds[5], r#"{"approval":{"request":{"title":"Ship it?"},"timeoutMs":1000}}"#);
    assert_eq!(kinds[6], r#"{"invoke":{"workflow":"other","input":{"x":1},"wait":true}}"#);
    assert_eq!(kinds[7], r#"{"invoke":{"workflow":"other","input":null,"wait":false}}"#);
    assert!(matches!(&run.ops[8].kind, OpKind::StateGet { scope: StateScope::Org, key } if key == "k"));
    assert_eq!(kinds[9], r#"{"state_set":{"scope":"INVOCATION","key":"k","value":[1],"ttlMs":60000}}"#);
    assert!(matches!(&run.ops[11].kind, OpKind::SecretGet { name } if name == "TOKEN"));
    assert!(matches!(&run.ops[12].kind, OpKind::ConfigGet { key } if key == "BASE"));
    assert_eq!(kinds[13], r#"{"connector":{"slug":"slack","action":"postMessage","args":{"text":"hi"}}}"#);
    assert_eq!(run.ops[2].key, "sleep#2");
}

/// Property: the context says who runs what, when and for whom, and cannot be changed.
#[test]
fn the_context_is_complete_and_frozen() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            const tries = [() => { ctx.customer.id = 'x' }, () => { ctx.step = 1 }, () => { fastn.secrets.get = 1 }, () => { fastn.x = 1 }];
            let refused = 0;
            for (const t of tries) try { t() } catch { refused++ }
            return [ctx.execution, ctx.customer, ctx.event.type, ctx.headers, ctx.input, refused];
        }",
        "[1]",
        null,
    );
    assert_eq!(
        run.output(),
        r#"[{"id":"exec_1","attempt":1,"workflow":"flow","version":3,"environment":"live","tier":"standard","startedAt":"2026-09-21T14:13:20.000Z"},{"id":"acme","account":"acc"},"t",{"x-id":"1"},[1],4]"#
    );
}

/// Property: logs carry level, order, time on the execution's clock, and what was given to them.
#[test]
fn logs() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            fastn.log.info('a', { b: [1] }, 2n);
            console.error(new TypeError('bad'));
            await ctx.sleep(1);
            console.log('later');
        }",
        "{}",
        null,
    );
    let logs = &run.logs;
    assert_eq!((logs[0].level, logs[0].message.as_str()), (LogLevel::Info, "a {\"b\":[1]} 2n"));
    assert!(logs[1].level == LogLevel::Error && logs[1].message.starts_with("TypeError: bad"), "{logs:?}");
    assert_eq!((logs[2].seq, logs[2].at_ms), (2, STARTED_MS + 1_000));
}

/// Property: a rejection that nothing handles is told in the log; one that is handled is not.
#[test]
fn rejections_that_nobody_hears() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            ctx.step('lost', () => { throw new Error('nobody listens') });
            Promise.reject(new Error('heard')).catch(() => {});
            try { await ctx.step('kept', async () => { await null; throw new Error('heard too') }) } catch {}
            await ctx.sleep(1);
        }",
        "{}",
        null,
    );
    let messages: Vec<_> = run.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(messages, ["a promise was rejected and nothing handles it: Error: nobody listens"]);
    assert_eq!(run.output(), "null");
}

/// Property: a secret reaches the workflow, and nothing that is shown: not logs, marks or errors.
#[test]
fn secrets_stay_out_of_sight() {
    let run = Driver::new().run(
        "export default async function (ctx) {
            const token = await fastn.secrets.get('TOKEN');
            console.log('token is ' + token);
            await ctx.step('use', () => fetch('https://api.test/?k=' + encodeURIComponent(token), { method: 'POST', body: token }));
            await ctx.step('leak', () => ({ token }));
            throw new Error('failed with ' + token + JSON.stringify({ token }));
        }",
        "{}",
        |op| match op.kind {
            OpKind::SecretGet { .. } => Ok(r#""pa\"ss/word""#.into()),
            _ => response(200, r#"echo pa\"ss/word"#),
        },
    );
    let shown = format!("{:?} {:?} {}", run.logs, run.error, json!(run.steps));
    assert!(!shown.contains("ss/word") && !shown.contains("ss%2Fword"), "{shown}");
    assert!(shown.contains("***") && run.steps.iter().all(|s| s.status == StepStatus::Completed), "{shown}");
    assert_eq!(run.steps[0].input.as_ref().unwrap().as_str(), r#"{"name":"TOKEN"}"#);
    assert_eq!(run.steps[0].output.as_ref().unwrap().as_str(), "\"***\"");
    assert!(json!(run.ops).to_string().contains("ss/word"), "the request itself must carry it");
}

/// Property: a failed fetch rejects with a FetchError that says whether to retry, at the line of the call.
#[test]
fn a_failed_fetch() {
    let source = "export default async function (ctx) {
            try { await fetch('https://api.test/') } catch (e) {
                return [e instanceof TypeError, e.name, e.message, e.code, e.retryable];
            }
        }";
    let run = Driver::new().run(source, "{}", |_| failure(true));
    assert_eq!(run.output(), r#"[true,"FetchError","connection refused","ECONN",true]"#);
    let source = "type A = {\n  b: string\n};\nexport default async function (ctx) {\n  const x: A = { b: '' };\n  await fetch('https://api.test/');\n}";
    let run = Driver::new().run(source, "{}", |_| failure(true));
    assert_eq!(
        (run.error().line, run.error().source_line.as_deref()),
        (Some(6), Some("  await fetch('https://api.test/');"))
    );
}

/// Property: a request that the workflow did not wait for is still handed over with the completed turn.
#[test]
fn requests_left_behind() {
    let run =
        Driver::new().run("export default async function (ctx) { ctx.emit({ type: 'x' }); return 1 }", "{}", null);
    assert_eq!((run.output(), run.keys()), ("1", vec!["emit"]));
}

/// Property: wrong arguments fail at their line with a message that says what to write.
#[test]
fn wrong_arguments() {
    for (call, hint) in [
        ("ctx.sleep('soon')", "write milliseconds"),
        ("ctx.emit({})", "the type of the event"),
        ("ctx.step('x')", "function to run"),
        ("fetch('/relative')", "absolute URL"),
        ("fetch('https://a.test', { body: 'x' })", "GET request has no body"),
        ("fetch('https://a.test', { method: 'POST', body: {} as any })", "JSON.stringify"),
        ("fastn.state.get('')", "not empty"),
    ] {
        let source = format!("interface Pad {{}}\nexport default async function (ctx: any) {{\n  await {call};\n}}");
        let run = Driver::new().run(&source, "{}", null);
        assert!(run.error().message.contains(hint), "{call}: {:?}", run.error());
        assert_eq!(run.error().line, Some(3), "{call}: {:?}", run.error());
    }
}
