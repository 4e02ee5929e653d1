//! As little HTTP/1.1 as the generator and the sink need, so that the cores are left to the server.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The head of a message, and its body.
pub(super) struct Message {
    pub(super) first_line: String,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(address: &str) -> anyhow::Result<Self> {
        let address = address.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.with_context(|| format!("connect to {address}"))?;
        Self::over(stream)
    }

    pub(super) fn over(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4_096) })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next message with a `content-length`; `None` when the other side is done.
    pub(super) async fn read(&mut self) -> anyhow::Result<Option<Message>> {
        let head_end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let length = length.unwrap_or(0);
        while self.buffer.len() < head_end + length {
            if self.fill().await? == 0 {
                bail!("the connection ended within a message");
            }
        }
        let body = self.buffer[head_end..head_end + length].to_vec();
        self.buffer.drain(..head_end + length);
        Ok(Some(Message { first_line: head.lines().next().unwrap_or_default().to_owned(), body }))
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> anyhow::Result<Option<String>> {
        loop {
            if let Some(at) = find(&self.buffer, b"\n") {
                let line = String::from_utf8_lossy(&self.buffer[..at]).into_owned();
                self.buffer.drain(..=at);
                return Ok(Some(line));
            }
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> anyhow::Result<usize> {
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
