//! The raw limits of the machine, in the same run: what no server on it could pass.

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::routing::post;
use bytes::Bytes;
use fastn_log::{EmbeddedLog, EmbeddedOptions, Log, Record, Topic};
use tokio::net::TcpListener;

use super::{Report, load, sink};

const RECORD_BYTES: usize = 1_024;
const TOGETHER: usize = 64;
const TIME: Duration = Duration::from_secs(3);

pub(super) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let raw = tokio::task::spawn_blocking(raw_appends).await??;
    report.row("raw: 64 × 1 KiB appended per fdatasync", raw, "records/s", "the device");
    report.row("embedded log: 64 appenders of 1 KiB", log_appends().await?, "records/s", "durable, each acknowledged");
    let (_bare, address) = sink::spawn(&["bench", "bare"]).await?;
    let sent = load::run_child(&format!("http://{address}"), "", 100_000, TOGETHER, 0).await?;
    report.row("bare axum handler: POST of the payload to 202", 100_000.0 / sent.seconds, "/s", "same generator");
    Ok(())
}

fn raw_appends() -> anyhow::Result<f64> {
    let mut file = tempfile::tempfile()?;
    let block = vec![7u8; RECORD_BYTES * TOGETHER];
    let (began, mut blocks) = (Instant::now(), 0u64);
    while began.elapsed() < TIME {
        file.write_all(&block)?;
        file.sync_data()?;
        blocks += 1;
    }
    Ok((blocks * TOGETHER as u64) as f64 / began.elapsed().as_secs_f64())
}

async fn log_appends() -> anyhow::Result<f64> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_owned();
    let log = tokio::task::spawn_blocking(move || EmbeddedLog::open(&path, EmbeddedOptions::default())).await??;
    let log: Arc<dyn Log> = Arc::new(log);
    let began = Instant::now();
    let appenders: Vec<_> = (0..TOGETHER)
        .map(|at| {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let (value, mut count) = (Bytes::from(vec![7u8; RECORD_BYTES]), 0u64);
                while began.elapsed() < TIME {
                    let record = Record::new(Bytes::from_static(b"acc/cus"), value.clone());
                    let partition = at as u32 % log.partitions();
                    log.append(Topic::Events, partition, vec![record]).await?;
                    count += 1;
                }
                anyhow::Ok(count)
            })
        })
        .collect();
    let mut count = 0;
    for appender in appenders {
        count += appender.await??;
    }
    let rate = count as f64 / began.elapsed().as_secs_f64();
    log.close().await?;
    Ok(rate)
}

/// The process that only answers.
pub(super) async fn serve_bare() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let answer = |body: Bytes| async move { (StatusCode::ACCEPTED, format!("{{\"bytes\":{}}}", body.len())) };
    axum::serve(listener, axum::Router::new().route("/v1/webhooks/{trigger}", post(answer))).await?;
    Ok(())
}
