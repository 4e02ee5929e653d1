//! The sink: it receives the workflows' calls, answers them after a while, and tells the generator of each.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::broadcast;

use super::wire::Wire;

/// Arguments of the sink's process.
#[derive(Debug, clap::Args)]
pub(crate) struct Sink {
    /// Milliseconds before each answer
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{\"ok\":true}";

impl Sink {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (receipts, _) = broadcast::channel(1 << 20);
        let receipts = Arc::new(receipts);
        loop {
            let (stream, _) = listener.accept().await?;
            let (receipts, delay) = (Arc::clone(&receipts), Duration::from_millis(self.delay_ms));
            tokio::spawn(async move { serve(stream, &receipts, delay).await });
        }
    }
}

async fn serve(stream: TcpStream, receipts: &broadcast::Sender<String>, delay: Duration) -> anyhow::Result<()> {
    let mut wire = Wire::over(stream)?;
    while let Some(message) = wire.read().await? {
        let path = message.first_line.split(' ').nth(1).unwrap_or_default();
        let id = path.trim_start_matches('/');
        if id == "receipts" {
            return follow(wire, receipts.subscribe()).await;
        }
        let _nobody_follows = receipts.send(format!("{id} {}\n", crate::clock::now().as_micros()));
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        wire.write(ANSWER).await?;
    }
    Ok(())
}

/// Writes a line for each receipt, many at once when there are many.
async fn follow(mut wire: Wire, mut receipts: broadcast::Receiver<String>) -> anyhow::Result<()> {
    wire.write(b"ready\n").await?;
    while let Ok(mut lines) = receipts.recv().await {
        while let Ok(more) = receipts.try_recv() {
            lines.push_str(&more);
        }
        wire.write(lines.as_bytes()).await?;
    }
    Ok(())
}

/// A sink in a process of its own; dropping it ends it.
pub(super) struct Running {
    pub(super) url: String,
    _child: Child,
}

/// Starts one.
pub(super) async fn start(delay_ms: u64) -> anyhow::Result<Running> {
    let (child, address) = spawn(&["bench", "sink", "--delay-ms", &delay_ms.to_string()]).await?;
    Ok(Running { url: format!("http://{address}"), _child: child })
}

/// Starts this binary with `arguments`, and waits for the address that it prints.
pub(super) async fn spawn(arguments: &[&str]) -> anyhow::Result<(Child, String)> {
    let mut child = Command::new(super::this_binary()?)
        .args(arguments)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("start a process of the bench")?;
    let stdout = child.stdout.take().context("read what a process of the bench prints")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    Ok((child, line.trim().to_owned()))
}
