//! `fastn test` on projects, as a person runs it.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::ensure;
use fastn_tests::process::repository;
use fastn_tests::server::binary;
use serde_json::Value;

fn run(arguments: &[&str]) -> anyhow::Result<Output> {
    Ok(Command::new(binary()?).arg("test").args(arguments).env_remove("FASTN_URL").output()?)
}

fn text(output: &[u8]) -> String {
    String::from_utf8_lossy(output).into_owned()
}

fn write(directory: &Path, file: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(file);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    Ok(std::fs::write(path, text)?)
}

const CHARGE: &str = r#"export default async (ctx: any) => {
    const key = await fastn.secrets.get("PAY_KEY");
    const url = await fastn.envConfig.get("PAY_URL");
    const before = Number((await fastn.state.get("charges")) ?? 0);
    await fastn.state.set("charges", before + 1);
    await ctx.sleep("2h");
    const answer = await ctx.step("charge", async () => {
        const answer = await fetch(`${url}/charges`, { method: "POST",
            headers: { authorization: `Bearer ${key}` }, body: JSON.stringify({ amount: ctx.input.amount, key }) });
        if (!answer.ok) throw new NonRetryableError(`declined with ${answer.status}`);
        return answer.json();
    });
    return { charge: answer.id, number: before + 1 };
};"#;

/// A project whose one workflow sleeps, calls the outside and uses a secret, configuration and state.
fn project(tests: &str) -> anyhow::Result<tempfile::TempDir> {
    let directory = tempfile::tempdir()?;
    write(
        directory.path(),
        "fastn.yaml",
        "account: acc_pay\ncustomers: [{id: cus_a}]\nsecrets: [{name: PAY_KEY, value: \"${PAY_KEY}\"}]\nenvConfig: [{key: PAY_URL, value: \"https://pay.example\"}]\n",
    )?;
    write(directory.path(), "workflows/charge.ts", CHARGE)?;
    write(directory.path(), "workflows/charge.yaml", "id: charge\ntier: long\n")?;
    if !tests.is_empty() {
        write(directory.path(), "tests/charge.yaml", tests)?;
    }
    Ok(directory)
}

/// Property: the example's tests pass, and each is told in a line with its name.
#[test]
fn the_example_passes() -> anyhow::Result<()> {
    let example = repository().join("examples/github-triage");
    let output = run(&[&example.display().to_string()])?;
    let told = text(&output.stdout);
    ensure!(output.status.success(), "{told}{}", text(&output.stderr));
    ensure!(told.matches("ok  ").count() == 5 && told.contains("5 passed, 0 failed"), "{told}");
    Ok(())
}

/// Property: what is not as expected is told by its place with both values, a call that nothing answers is told with what
/// was asked, one failure does not keep the others from running, and the exit code says it.
#[test]
fn failures_say_what_is_wrong() -> anyhow::Result<()> {
    let directory = project(
        r#"
- name: charges after two hours
  workflow: charge
  input: { amount: 7 }
  state: { charge: { charges: 4 } }
  mocks: [{ method: POST, url: "https://pay.example/charges", body: { id: ch_1 } }]
  then: [{ advance: 3h }]
  expect:
    outputExactly: { charge: ch_1, number: 5 }
    sleeps: [2h]
    calls: [{ url: "https://pay.example/*", step: charge, body: { amount: 7, key: test-PAY_KEY } }]
- name: is wrong about the charge
  workflow: charge
  input: { amount: 7 }
  mocks: [{ url: "https://pay.example/charges", body: { id: ch_1 } }]
  then: [{ advance: 3h }]
  expect: { output: { charge: ch_2 }, sleeps: [1h], calls: [{ body: { amount: 8 } }, { method: GET }] }
- name: forgets the outside
  workflow: charge
  input: { amount: 7 }
  then: [{ advance: 3h }]
  expect: { status: failed }
- name: does not wait
  workflow: charge
  input: { amount: 7 }
  expect: {}
"#,
    )?;
    let folder = directory.path().display().to_string();
    let output = run(&[&folder])?;
    let told = text(&output.stdout);
    ensure!(output.status.code() == Some(1) && told.contains("1 passed, 3 failed"), "{told}");
    for line in [
        "output.charge\n          expected  \"ch_2\"\n          got       \"ch_1\"",
        "sleeps\n          expected  1h\n          got       7200000ms",
        "calls[0].body.amount\n          expected  8\n          got       7",
        "calls[1]\n          expected  GET **\n          got       nothing",
        "a call that no mock answers\n          POST https://pay.example/charges\n          body      {\"amount\":7,",
        "status\n          expected  completed\n          got       waiting",
    ] {
        ensure!(told.contains(line), "{line}\nis not in\n{told}");
    }
    let output = run(&[&folder, "two hours", "--json"])?;
    let report: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(output.status.success() && report["passed"] == 1 && report["tests"][0]["passed"] == true, "{report}");
    Ok(())
}

/// Property: an execution of a running server becomes a test that passes as it is, holds no value of a secret, and fails
/// when the workflow changes.
#[test]
fn an_execution_becomes_a_test() -> anyhow::Result<()> {
    let directory = project("")?;
    let folder = directory.path().display().to_string();
    let mut server = Command::new(binary()?)
        .args(["test-server", &folder, "--with-stdin", "--frozen"])
        .env("PAY_KEY", "hidden-in-production")
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let out = server.stdout.take().ok_or_else(|| anyhow::anyhow!("no output"))?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line)?;
    let ready: Value = serde_json::from_str(&line)?;
    let said = |name: &str| ready[name].as_str().unwrap_or_default().to_owned();
    let (url, key, account) = (said("url"), said("accessKey"), said("account"));
    let runtime = tokio::runtime::Runtime::new()?;
    let id = runtime.block_on(async {
        let client =
            fastn_sdk::Fastn::builder().url(&url).access_key(&key).account(&account).build()?.customer("cus_a");
        let http = reqwest::Client::new();
        let mocks = serde_json::json!([{"url": "https://pay.example/**", "body": {"id": "ch_9"}}]);
        http.put(format!("{url}/test/mocks")).json(&mocks).send().await?.error_for_status()?;
        let mut last = String::new();
        for _ in 0..2 {
            last = client.run("charge", serde_json::json!({"amount": 12})).await?.execution_id;
            let advance = serde_json::json!({"advance": "3h"});
            http.post(format!("{url}/test/clock")).json(&advance).send().await?.error_for_status()?;
        }
        anyhow::Ok(last)
    })?;
    let remote = ["--url", &url, "--access-key", &key, "--account", &account];
    let mut arguments = vec![folder.as_str(), "--record", &id];
    arguments.extend(remote);
    let recorded = run(&arguments)?;
    ensure!(recorded.status.success(), "{}", text(&recorded.stderr));
    drop(server.stdin.take());
    server.wait()?;

    let files: Vec<_> = std::fs::read_dir(directory.path().join("tests"))?.collect::<Result<_, _>>()?;
    let test = std::fs::read_to_string(files[0].path())?;
    ensure!(files.len() == 1 && test.contains("ch_9") && !test.contains("hidden-in-production"), "{test}");
    let passed = run(&[&folder])?;
    ensure!(passed.status.success(), "{}\n{test}", text(&passed.stdout));
    write(directory.path(), "workflows/charge.ts", &CHARGE.replace("amount: ctx.input.amount", "amount: 0"))?;
    let failed = run(&[&folder])?;
    ensure!(
        failed.status.code() == Some(1) && text(&failed.stdout).contains("calls[0].body.amount"),
        "{}",
        text(&failed.stdout)
    );
    Ok(())
}
