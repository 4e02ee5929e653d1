//! `fastn test-server` as the tests of another process use it: by HTTP, on the real binary.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context, ensure};
use fastn_sdk::Fastn;
use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_tests::process::eventually;
use fastn_tests::server::{binary, put_customer, put_workflow};
use serde_json::{Value, json};

/// A server that ends with its test.
struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    url: String,
    key: String,
    account: String,
    customer: String,
    http: reqwest::Client,
}

impl Server {
    fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(binary()?)
            .args(["test-server", "--with-stdin"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
        let ready: Value = serde_json::from_str(&line).context("the line of a server that is ready")?;
        let text = |name: &str| ready[name].as_str().map(str::to_owned).with_context(|| format!("{name} in {line}"));
        Ok(Self {
            stdin: child.stdin.take(),
            child,
            url: text("url")?,
            key: text("accessKey")?,
            account: text("account")?,
            customer: text("customer")?,
            http: reqwest::Client::new(),
        })
    }

    fn client(&self) -> anyhow::Result<Fastn> {
        Ok(Fastn::builder().url(&self.url).access_key(&self.key).account(&self.account).build()?)
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Value) -> anyhow::Result<(u16, Value)> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Value) -> anyhow::Result<Value> {
        let (status, answer) = self.call(method, path, body).await?;
        ensure!(status == 200, "{path}: {status} {answer}");
        Ok(answer)
    }

    async fn move_clock(&self, to: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, "/test/clock", to).await
    }

    async fn mock(&self, mocks: Value) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::PUT, "/test/mocks", mocks).await
    }

    async fn settle(&self) -> anyhow::Result<Value> {
        self.ask(reqwest::Method::POST, "/test/settle", Value::Null).await
    }

    async fn calls(&self) -> anyhow::Result<Vec<Value>> {
        let calls = self.ask(reqwest::Method::GET, "/test/calls", Value::Null).await?;
        Ok(calls.as_array().cloned().unwrap_or_default())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Starts of a workflow's executions, the oldest first.
async fn starts(fastn: &Fastn, workflow: &str) -> anyhow::Result<Vec<String>> {
    let mut all = fastn.executions().filter("workflow", Some(workflow)).take(100).await?;
    all.sort_by(|a, b| a.created_at.cmp(&b.created_at));
    Ok(all.into_iter().map(|one| one.created_at).collect())
}

/// Property: a schedule fires at each of its times on the way, each run at its own instant, through a change to summer time;
/// nothing is skipped as an outage would be.
#[tokio::test]
async fn schedules_fire_on_the_way() -> anyhow::Result<()> {
    let server = Server::start(&["--frozen", "--at", "2026-03-27T12:00:00Z"])?;
    let fastn = server.client()?;
    put_workflow(&fastn, "note", json!({}), "export default (ctx: any) => ctx.event.time").await?;
    let trigger = json!({"id": "morning", "routes": [{"workflow": "note"}],
        "source": {"type": "schedule", "timezone": "Europe/Berlin", "when": {"mode": "daily", "at": "06:00"}}});
    fastn.put_trigger(&serde_json::from_value(trigger)?).await?;
    let moved = server.move_clock(json!({"to": "2026-03-31T12:00:00Z"})).await?;
    ensure!(moved["now"] == "2026-03-31T12:00:00.000Z" && moved["executionsStarted"] == 4, "{moved}");
    let of_customer = fastn.customer(&server.customer);
    let expected = ["28T05", "29T04", "30T04", "31T04"].map(|hour| format!("2026-03-{hour}:00:00.000Z"));
    ensure!(starts(&of_customer, "note").await? == expected, "{:?}", starts(&of_customer, "note").await?);
    let (status, problem) =
        server.call(reqwest::Method::POST, "/test/clock", json!({"to": "2026-03-01T00:00:00Z"})).await?;
    ensure!(
        status == 422 && problem["detail"].as_str().is_some_and(|text| text.contains("does not go back")),
        "{problem}"
    );
    Ok(())
}

const LATER: &str = r#"export default async (ctx: any) => {
    const before = Date.now();
    await ctx.sleep("24h");
    const answer = await ctx.step("ask", async () => {
        const answer = await fetch("https://crm.example/contacts?n=1", {
            method: "POST", headers: { authorization: "Bearer hidden" }, body: JSON.stringify(ctx.input),
        });
        if (!answer.ok) throw new RetryableError("again");
        return answer.json();
    }, { retry: { maxAttempts: 3, initialInterval: 60000 } });
    return { answer, slept: Date.now() - before };
};"#;

/// Property: an execution sleeps and waits between attempts by the clock that the test moves, its calls get what the test
/// says and are told without credentials, and the clock stops where it was sent.
#[tokio::test]
async fn sleeps_and_retries_go_by_the_clock() -> anyhow::Result<()> {
    let server = Server::start(&["--frozen"])?;
    let fastn = server.client()?;
    put_workflow(&fastn, "later", json!({"tier": "long"}), LATER).await?;
    let mock = |status: u16, times: Value| {
        json!({"method": "POST", "url": "https://crm.example/*", "status": status,
        "body": {"id": 7}, "times": times})
    };
    server.mock(json!([mock(503, json!(1)), mock(200, Value::Null)])).await?;
    let of_customer = fastn.customer(&server.customer);
    let run = of_customer.run("later", json!({"name": "Ada"})).await?;
    let moved = server.move_clock(json!({"advance": "23h59m"})).await?;
    ensure!(moved["executionsStarted"] == 1, "{moved}");
    ensure!(of_customer.execution(&run.execution_id).await?.status == ExecutionStatus::Waiting);
    ensure!(server.calls().await?.is_empty());
    server.move_clock(json!({"advance": "1h"})).await?;
    let execution = of_customer.execution(&run.execution_id).await?;
    let output = execution.output.unwrap_or_default();
    ensure!(output["answer"] == json!({"id": 7}) && output["slept"].as_i64() >= Some(86_400_000), "{output}");
    let calls = server.calls().await?;
    let seen: Vec<_> = calls.iter().map(|call| (&call["status"], &call["step"], &call["body"])).collect();
    let (name, step) = (json!({"name": "Ada"}), json!("ask"));
    ensure!(seen == [(&json!(503), &step, &name), (&json!(200), &step, &name)], "{seen:?}");
    ensure!(!serde_json::to_string(&calls)?.contains("hidden") && calls[0]["execution"] == json!(run.execution_id));
    Ok(())
}

/// Property: a call that no mock answers fails at once and says so, it does not leave the machine; the delay of a mock
/// passes on the clock.
#[tokio::test]
async fn the_outside_is_what_the_test_says() -> anyhow::Result<()> {
    let server = Server::start(&["--frozen"])?;
    let fastn = server.client()?;
    let source = "export default async (ctx: any) => (await fetch(ctx.input.url, {timeout: 5000})).status";
    put_workflow(&fastn, "ask", json!({}), source).await?;
    server
        .mock(json!([{"url": "https://slow.example/**", "delay": "3s", "status": 201},
        {"url": "https://stuck.example/", "delay": "1h"}, {"url": "https://down.example", "fails": "ECONNREFUSED"}]))
        .await?;
    let of_customer = fastn.customer(&server.customer);
    let mut ids = Vec::new();
    for url in ["https://nobody.example/x", "https://slow.example/a/b", "https://stuck.example", "https://down.example"]
    {
        ids.push(of_customer.run("ask", json!({"url": url})).await?.execution_id);
    }
    server.settle().await?;
    let slow = of_customer.execution(&ids[1]).await?;
    ensure!(!slow.status.is_final(), "the delay passed on a clock that stands still: {slow:?}");
    server.move_clock(json!({"advance": "1h"})).await?;
    let mut ends = Vec::new();
    for id in &ids {
        let execution = of_customer.execution(id).await?;
        ends.push((execution.output, execution.error.map(|error| error.message).unwrap_or_default()));
    }
    ensure!(ends[0].1.contains("no mock answers GET https://nobody.example/x"), "{ends:?}");
    ensure!(ends[1].0 == Some(json!(201)), "{ends:?}");
    ensure!(ends[2].1.contains("no answer within 5000 ms") && ends[3].1.contains("the network fails"), "{ends:?}");
    for call in server.calls().await? {
        let mocked = call["url"] != "https://nobody.example/x";
        ensure!(call["answered"] == if mocked { "mock" } else { "nothing" }, "{call}");
    }
    Ok(())
}

/// Property: a quota of a day is a day of the test's clock.
#[tokio::test]
async fn quotas_go_by_the_clock() -> anyhow::Result<()> {
    let server = Server::start(&["--frozen", "--at", "2026-05-01T10:00:00Z"])?;
    let fastn = server.client()?;
    put_customer(&fastn, "cus_small", json!({"quotas": {"eventsPerDay": {"limit": 3}}})).await?;
    put_workflow(&fastn, "note", json!({}), "export default () => 1").await?;
    let of_customer = fastn.customer("cus_small");
    let send = async |day: u32| -> anyhow::Result<u64> {
        for n in 0..5 {
            let event = json!({"id": format!("{day}-{n}"), "type": "note", "data": {}});
            let sent = server.http.post(format!("{}/v1/events", server.url)).json(&event);
            let keys = [("x-fastn-access-key", server.key.as_str()), ("x-fastn-account-tenant-id", "cus_small")];
            let sent = keys.iter().fold(sent, |request, (name, value)| request.header(*name, *value));
            let _over_the_quota = sent.send().await?;
        }
        let moved = server.settle().await?;
        moved["executionsStarted"].as_u64().context("a number")
    };
    ensure!(send(1).await? == 3);
    server.move_clock(json!({"to": "2026-05-01T23:59:59Z"})).await?;
    ensure!(send(2).await? == 0);
    server.move_clock(json!({"to": "2026-05-02T00:00:00Z"})).await?;
    ensure!(send(3).await? == 3);
    ensure!(starts(&of_customer, "note").await?.len() == 6);
    Ok(())
}

/// Property: after a reset nothing of before is there, and the same client goes on at the same address; when its standard
/// input is closed the server ends by itself and leaves no directory.
#[tokio::test]
async fn resets_and_goes_with_its_parent() -> anyhow::Result<()> {
    let mut server = Server::start(&["--frozen", "--at", "2026-05-01T00:00:00Z"])?;
    let pid = server.child.id();
    let mine = || -> anyhow::Result<usize> {
        let names =
            std::fs::read_dir(std::env::temp_dir())?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.filter(|name| name.starts_with(&format!("fastn-test-{pid}-"))).count())
    };
    ensure!(mine()? == 1);
    let fastn = server.client()?;
    put_workflow(&fastn, "note", json!({}), "export default () => 1").await?;
    let of_customer = fastn.customer(&server.customer);
    of_customer.run("note", json!({})).await?;
    server.move_clock(json!({"advance": "1d"})).await?;
    ensure!(starts(&of_customer, "note").await?.len() == 1);
    let reset = server.ask(reqwest::Method::POST, "/test/reset", Value::Null).await?;
    ensure!(reset["now"] == "2026-05-01T00:00:00.000Z", "{reset}");
    ensure!(starts(&of_customer, "note").await?.is_empty() && fastn.workflows().take(10).await?.is_empty());
    ensure!(mine()? == 1);
    put_workflow(&fastn, "note", json!({}), "export default () => 1").await?;
    of_customer.run("note", json!({})).await?;
    ensure!(server.settle().await?["executionsStarted"] == 1);

    drop(server.stdin.take());
    eventually("the server ends", || server.child.try_wait().ok().flatten())?;
    ensure!(mine()? == 0, "its directory is still there");
    Ok(())
}

/// Property: polls, alert rules and the switching off of schedules that fail go by the clock too, in order with all the rest,
/// and their requests get what the test says.
#[tokio::test]
async fn polls_alerts_and_failures_go_by_the_clock() -> anyhow::Result<()> {
    let server = Server::start(&["--frozen", "--at", "2026-05-01T00:30:00Z"])?;
    let fastn = server.client()?;
    put_workflow(&fastn, "sync", json!({}), "export default (ctx: any) => ctx.input.key").await?;
    put_workflow(&fastn, "breaks", json!({}), "export default () => { throw new NonRetryableError('no') }").await?;
    let page = |records: Value| json!({"url": "https://crm.example/contacts", "body": {"results": records}});
    let told = json!({"method": "POST", "url": "https://hooks.example/alerts"});
    server.mock(json!([page(json!([{"id": 1}])), told])).await?;
    let secret = json!({"name": "HOOK", "value": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
    fastn.put_secret(&serde_json::from_value(secret)?).await?;
    for trigger in [
        json!({"id": "contacts", "routes": [{"workflow": "sync"}], "source": {"type": "poll", "entity": "contact",
            "request": {"url": "https://crm.example/contacts"}, "records": "results", "key": "id",
            "interval": {"minSeconds": 600, "maxSeconds": 600}}}),
        json!({"id": "hourly", "routes": [{"workflow": "breaks"}], "maxAttempts": 1, "source": {"type": "schedule",
            "timezone": "UTC", "when": {"mode": "cron", "expression": "0 * * * *"}, "autoDisable": {"failures": 3, "cooldownMinutes": 150}}}),
    ] {
        fastn.put_trigger(&serde_json::from_value(trigger)?).await?;
    }
    let rule = json!({"id": "failures", "status": "enabled", "metric": "failure_count", "threshold": 2, "window": "3h", "hold": "0s",
        "workflow": "breaks", "channels": [{"type": "webhook", "url": "https://hooks.example/alerts", "secret": "HOOK"}]});
    fastn.put_alert_rule(&serde_json::from_value(rule)?).await?;

    server.move_clock(json!({"to": "2026-05-01T04:30:00Z"})).await?;
    let of_customer = fastn.customer(&server.customer);
    let hours = ["01", "02", "03"].map(|hour| format!("2026-05-01T{hour}:00:00.000Z"));
    ensure!(starts(&of_customer, "breaks").await? == hours, "{:?}", starts(&of_customer, "breaks").await?);
    let calls = server.calls().await?;
    let polls: Vec<_> = calls.iter().filter(|call| call["by"] == "poll").map(|call| call["at"].clone()).collect();
    ensure!(polls.len() == 25 && polls[24] == "2026-05-01T04:30:00.000Z", "{polls:?}");
    // It fires with the third failure, and is over when the first is three hours old.
    let alerts = calls.iter().filter(|call| call["by"] == "alert");
    let alerts: Vec<_> = alerts.map(|call| (call["body"]["type"].clone(), call["at"].to_string())).collect();
    ensure!(alerts.len() == 2 && alerts[0].0 == "alert.firing" && alerts[1].0 == "alert.resolved", "{alerts:?}");
    ensure!(alerts[0].1.contains("2026-05-01T03:0") && alerts[1].1.contains("2026-05-01T04:0"), "{alerts:?}");

    // After the cooldown it is on again, and what came to the source meanwhile is an event.
    server.mock(json!([page(json!([{"id": 1}, {"id": 2}])), {"url": "https://hooks.example/alerts"}])).await?;
    server.move_clock(json!({"to": "2026-05-01T06:30:00Z"})).await?;
    ensure!(starts(&of_customer, "breaks").await?.last().map(String::as_str) == Some("2026-05-01T06:00:00.000Z"));
    ensure!(starts(&of_customer, "sync").await? == ["2026-05-01T04:40:00.000Z"]);
    Ok(())
}
