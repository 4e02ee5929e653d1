//! The platform in the process of a test, as users of the Rust SDK have it.

use std::time::Duration;

use fastn_sdk::contract::activity::ExecutionStatus;
use fastn_sdk::contract::command::PublishVersion;
use fastn_server::testing::{Mock, TestError, TestServer};
use serde_json::json;

const REMINDER: &str = r#"export default async (ctx: any) => {
    await ctx.sleep("24h");
    return (await fetch("https://mail.example/send", { method: "POST", body: JSON.stringify(ctx.input) })).status;
};"#;

async fn with_reminder(server: &TestServer) -> anyhow::Result<()> {
    let fastn = server.client()?;
    let settings = serde_json::from_value(json!({"id": "reminder", "tier": "long"}))?;
    fastn.put_workflow(&settings).await?;
    let version = PublishVersion { source: REMINDER.to_owned(), file: None };
    fastn.publish("reminder", &version).await?;
    Ok(())
}

/// Property: a test in the same process runs a workflow through a day in moments; two servers know nothing of each other.
#[tokio::test]
async fn a_day_passes_in_moments() {
    let server = TestServer::builder().frozen().start().await.unwrap();
    let other = TestServer::start().await.unwrap();
    with_reminder(&server).await.unwrap();
    server.mock(Mock::new("POST", "https://mail.example/send").status(202)).unwrap();

    let fastn = server.client().unwrap().customer(server.customer());
    let began = server.now();
    let run = fastn.run("reminder", json!({"to": "ada@example.com"})).await.unwrap();
    let moved = server.advance(Duration::from_secs(25 * 3_600)).await.unwrap();
    assert_eq!((moved.executions_started, server.now()), (1, began.plus(Duration::from_secs(25 * 3_600))));

    let execution = fastn.execution(&run.execution_id).await.unwrap();
    assert_eq!((execution.status, execution.output), (ExecutionStatus::Completed, Some(json!(202))));
    let calls = server.calls();
    assert_eq!((calls.len(), &calls[0].body), (1, &json!({"to": "ada@example.com"})));
    assert!(other.calls().is_empty() && other.now() < server.now());

    server.reset().await.unwrap();
    assert!(server.calls().is_empty() && server.now() < began.plus(Duration::from_secs(3_600)));
    server.stop().await.unwrap();
}

/// Property: what does not come to rest is told, with what goes on, and does not hang the test.
#[tokio::test]
async fn what_does_not_rest_is_told() {
    let server = TestServer::builder().frozen().start().await.unwrap();
    let past = server.advance_to(fastn_server::testing::Timestamp(0)).await.unwrap_err();
    assert!(matches!(past, TestError::Refused(_)), "{past}");
    let wrong = server.mock(Mock { delay: Some("soon".to_owned()), ..Mock::new("GET", "https://a.example") });
    assert!(wrong.unwrap_err().to_string().contains("soon"));
    let fastn = server.client().unwrap();
    let source = "export default async () => { for (;;) await fetch('https://a.example/'); }".to_owned();
    fastn.publish("busy", &PublishVersion { source, file: None }).await.unwrap();
    server.mock(Mock::new("GET", "https://a.example")).unwrap();
    fastn.customer(server.customer()).run("busy", json!({})).await.unwrap();
    let busy = server.settle_within(Duration::from_millis(300)).await.unwrap_err();
    assert!(matches!(busy, TestError::NotAtRest { .. }), "{busy}");
}
