//! An HTTP endpoint that remembers every call: its idempotency key, its path, its body and which node it came from.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::http::{HeaderMap, Uri};
use axum::serve::IncomingStream;
use tokio::net::TcpListener;

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The `Idempotency-Key`.
    pub key: String,
    /// The path.
    pub path: String,
    /// The body.
    pub body: String,
    /// The process that called; `None` when it is none of [`Sink::know`].
    pub from: Option<u32>,
    /// When.
    pub at: Instant,
}

/// The processes whose calls are told apart.
type Known = Arc<Mutex<Vec<u32>>>;

/// A running sink.
pub struct Sink {
    /// Where it listens.
    pub url: String,
    calls: Arc<Mutex<Vec<Call>>>,
    known: Known,
}

impl Sink {
    /// Starts one on loopback that answers `{"path", "n"}` after `delay`; `n` is the number of calls so far, so that no two
    /// answers are the same.
    ///
    /// # Errors
    /// There is no port.
    pub async fn start(delay: Duration) -> anyhow::Result<Self> {
        Self::start_on("127.0.0.1", delay).await
    }

    /// The same on `address`.
    ///
    /// # Errors
    /// The address is not of this machine.
    pub async fn start_on(address: &str, delay: Duration) -> anyhow::Result<Self> {
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let known = Known::default();
        let seen = Arc::clone(&calls);
        let answer =
            move |ConnectInfo(Caller(from)): ConnectInfo<Caller>, uri: Uri, headers: HeaderMap, body: String| {
                let key =
                    headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or_default().to_owned();
                let path = uri.path().to_owned();
                let call = Call { key, path: path.clone(), body, from, at: Instant::now() };
                let n = {
                    let mut calls = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    calls.push(call);
                    calls.len()
                };
                async move {
                    tokio::time::sleep(delay).await;
                    axum::Json(serde_json::json!({"path": path, "n": n}))
                }
            };
        let listener = TcpListener::bind((address, 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let app = Router::new().fallback(answer);
        let listener = Asking { listener, known: Arc::clone(&known) };
        tokio::spawn(async move { axum::serve(listener, app.into_make_service_with_connect_info::<Caller>()).await });
        Ok(Self { url, calls, known })
    }

    /// From now on, calls of the process `pid` carry its number.
    pub fn know(&self, pid: u32) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// Every call so far, in order of arrival.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A listener that looks up who connects.
struct Asking {
    listener: TcpListener,
    known: Known,
}

impl axum::serve::Listener for Asking {
    type Io = tokio::net::TcpStream;
    type Addr = (SocketAddr, Option<u32>);

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let (stream, peer) = axum::serve::Listener::accept(&mut self.listener).await;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        (stream, (peer, owner(peer, &known)))
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr().map(|address| (address, None))
    }
}

/// The process that a connection came from.
#[derive(Clone, Copy, Debug)]
struct Caller(Option<u32>);

impl Connected<IncomingStream<'_, Asking>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Asking>) -> Self {
        Self(stream.remote_addr().1)
    }
}

/// Which of `pids` holds the other end of the connection from `peer`, from the system's own tables: each process sees the
/// sockets of its network namespace.
fn owner(peer: SocketAddr, pids: &[u32]) -> Option<u32> {
    let mut inodes: HashMap<std::path::PathBuf, Option<String>> = HashMap::new();
    pids.iter().copied().find(|pid| {
        let process = Path::new("/proc").join(pid.to_string());
        let Ok(namespace) = std::fs::read_link(process.join("ns/net")) else { return false };
        let inode = inodes.entry(namespace).or_insert_with(|| inode_of(&process, peer.port()));
        inode.as_ref().is_some_and(|inode| holds(&process, inode))
    })
}

/// The inode of the socket whose own port is `port`. Columns of `net/tcp`: number, own address, peer's, state, …, inode.
fn inode_of(process: &Path, port: u16) -> Option<String> {
    let table = std::fs::read_to_string(process.join("net/tcp")).ok()?;
    let own = format!(":{port:04X}");
    table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find_map(|columns| {
        let inode = columns.get(9).filter(|inode| **inode != "0")?;
        columns[1].ends_with(&own).then(|| (*inode).to_owned())
    })
}

fn holds(process: &Path, inode: &str) -> bool {
    let wanted = format!("socket:[{inode}]");
    let Ok(open) = std::fs::read_dir(process.join("fd")) else { return false };
    open.flatten()
        .any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str()))
}
