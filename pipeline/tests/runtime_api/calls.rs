//! Durable calls: keys, steps, retries, results.

use crate::driver::{Driver, response};

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
}
