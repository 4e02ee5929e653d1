//! As little HTTP/1.1 as the generator and the sink need, so that the cores are left to the server.

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where what was not taken yet begins.
    start: usize,
}

/// The first line of a message, and its body.
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
        Ok(Self { stream, buffer: Vec::with_capacity(16_384), start: 0 })
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next message with a `content-length`; `None` when the other side is done.
    pub(super) async fn read(&mut self) -> anyhow::Result<Option<Message>> {
        let Some(first_line) = self.line().await? else { return Ok(None) };
        let mut length = 0;
        loop {
            let Some(header) = self.line().await? else { bail!("the connection ended within a head") };
            let Some((name, value)) = header.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        while self.buffer.len() - self.start < length {
            if self.fill().await? == 0 {
                bail!("the connection ended within a message");
            }
        }
        let body = self.buffer[self.start..self.start + length].to_vec();
        self.start += length;
        Ok(Some(Message { first_line, body }))
    }

    /// The next line, without its end.
    pub(super) async fn line(&mut self) -> anyhow::Result<Option<String>> {
        let mut seen = 0;
        loop {
            let fresh = &self.buffer[self.start + seen..];
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let end = self.start + seen + at;
                let line = String::from_utf8_lossy(&self.buffer[self.start..end]).trim_end_matches('\r').to_owned();
                self.start = end + 1;
                return Ok(Some(line));
            }
            seen += fresh.len();
            if self.fill().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads more. What was taken is dropped first when all was, else when the buffer is full.
    async fn fill(&mut self) -> anyhow::Result<usize> {
        if self.start == self.buffer.len() || self.buffer.len() == self.buffer.capacity() {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        Ok(self.stream.read_buf(&mut self.buffer).await?)
    }
}
