//! A platform for the tests of those who build on fastn: an embedded node in a temporary directory, whose clock the test
//! moves and whose calls to the outside the test answers.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use fastn_sdk::contract::command::PublishVersion;
//! use fastn_server::testing::{Mock, TestServer};
//! use serde_json::json;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let server = TestServer::start().await?;
//! let fastn = server.client()?.customer(server.customer());
//! let source = r#"export default async (ctx) => {
//!     await ctx.sleep("24h");
//!     return (await fetch("https://crm.example/ping")).status;
//! }"#;
//! // A workflow that sleeps for longer than 15 minutes is a Long one.
//! let settings = serde_json::from_value(json!({"id": "later", "tier": "long"}))?;
//! fastn.account().put_workflow(&settings).await?;
//! fastn.account().publish("later", &PublishVersion { source: source.to_owned(), file: None }).await?;
//! server.mock(Mock::new("GET", "https://crm.example/ping").status(204))?;
//!
//! let run = fastn.run("later", json!({})).await?;
//! server.advance(Duration::from_secs(25 * 3_600)).await?;
//!
//! let execution = fastn.execution(&run.execution_id).await?;
//! assert_eq!(execution.output, Some(json!(204)));
//! assert_eq!(server.calls().len(), 1);
//! # Ok(()) }
//! ```

mod clock;
mod control;
mod directory;
mod mocks;
pub(crate) mod pattern;
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use fastn_domain::time::Clock as _;
pub use fastn_domain::time::Timestamp;
use fastn_sdk::Fastn;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use self::mocks::{Call, Mock};
pub use self::world::Moved;
use self::world::{Options, World};

/// How long a move of the clock may take, unless the caller says otherwise.
const LIMIT_DEFAULT: Duration = Duration::from_secs(60);

/// Why a test's platform did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// It was asked for what it cannot do.
    #[error("{0}")]
    Refused(String),
    /// Something goes on for too long.
    #[error("not at rest within {} s, with the clock at {now}: {what}", limit.as_secs_f32())]
    NotAtRest {
        /// What goes on.
        what: String,
        /// Where the clock is.
        now: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The platform has ended.
    #[error("the test server has been stopped")]
    Stopped,
    /// Anything else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Settings of a test's platform.
#[derive(Clone, Debug, Default)]
pub struct TestServerBuilder {
    options: Options,
    port: u16,
}

impl TestServerBuilder {
    /// Fills it with this project's folder, as `fastn dev` does.
    #[must_use]
    pub fn project(mut self, directory: impl Into<PathBuf>) -> Self {
        self.options.project = Some(directory.into());
        self
    }

    /// Starts the clock at this instant instead of now.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.options.at = Some(at);
        self
    }

    /// Lets the clock stand still but for when it is moved. Else it runs on with real time.
    #[must_use]
    pub fn frozen(mut self) -> Self {
        self.options.frozen = true;
        self
    }

    /// Lets calls go out that no mock answers.
    #[must_use]
    pub fn allow_network(mut self) -> Self {
        self.options.allow_network = true;
        self
    }

    /// Listens on this port of the loopback address instead of one that the system chooses.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// The node does not start, or the project is refused.
    pub async fn start(self) -> Result<TestServer, TestError> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let listener = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
        let address = listener.local_addr().context("the address of the listener")?;
        let world = Arc::new(World::start(self.options, address).await?);
        let app = control::router(world.clone());
        let listens = tokio::spawn(async move {
            let _until_it_is_aborted = axum::serve(listener, app).await;
        });
        let server = TestServer { world, listens };
        server.world.fill().await?;
        server.settle().await?;
        Ok(server)
    }
}

/// A running platform. It ends when this is dropped, and leaves nothing behind.
pub struct TestServer {
    world: Arc<World>,
    listens: JoinHandle<()>,
}

impl TestServer {
    /// Starts an empty one, whose clock starts now and runs.
    ///
    /// # Errors
    /// The node does not start.
    pub async fn start() -> Result<Self, TestError> {
        Self::builder().start().await
    }

    /// Settings.
    pub fn builder() -> TestServerBuilder {
        TestServerBuilder::default()
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.world.url
    }

    /// A key of the account.
    pub fn access_key(&self) -> &str {
        &self.world.access_key
    }

    /// The account.
    pub fn account(&self) -> &str {
        &self.world.account
    }

    /// The first customer of the project, or one that was made.
    pub fn customer(&self) -> &str {
        &self.world.customer
    }

    /// A client of the account.
    ///
    /// # Errors
    /// It cannot be built.
    pub fn client(&self) -> Result<Fastn, TestError> {
        Ok(self.world.client()?)
    }

    /// The time that the platform goes by.
    pub fn now(&self) -> Timestamp {
        self.world.run().clock.now()
    }

    /// Moves the clock through all that becomes due on the way, each at its time and in order, and waits until nothing goes
    /// on any more.
    ///
    /// # Errors
    /// Something goes on for more than a minute of real time.
    pub async fn advance(&self, by: Duration) -> Result<Moved, TestError> {
        self.world.advance(by, LIMIT_DEFAULT).await
    }

    /// Moves it to an instant like that.
    ///
    /// # Errors
    /// Like [`TestServer::advance`], and for an instant in the past.
    pub async fn advance_to(&self, to: Timestamp) -> Result<Moved, TestError> {
        self.world.advance_to(to, LIMIT_DEFAULT).await
    }

    /// Waits until nothing goes on: every event was taken, every execution has ended or waits for time or for somebody, and
    /// all of it is shown.
    ///
    /// # Errors
    /// Something goes on for more than a minute.
    pub async fn settle(&self) -> Result<Moved, TestError> {
        self.settle_within(LIMIT_DEFAULT).await
    }

    /// Waits so long at most.
    ///
    /// # Errors
    /// Something goes on for longer.
    pub async fn settle_within(&self, limit: Duration) -> Result<Moved, TestError> {
        self.world.settle(limit).await
    }

    /// Answers calls to the outside, after the mocks that are there already.
    ///
    /// # Errors
    /// It cannot answer.
    pub fn mock(&self, mock: Mock) -> Result<(), TestError> {
        self.world.run().mocks.add(mock).map_err(TestError::Refused)
    }

    /// Answers calls with these instead of all that were there.
    ///
    /// # Errors
    /// One cannot answer.
    pub fn set_mocks(&self, mocks: Vec<Mock>) -> Result<(), TestError> {
        self.world.run().mocks.set(mocks).map_err(TestError::Refused)
    }

    /// The calls to the outside that were made, in order.
    pub fn calls(&self) -> Vec<Call> {
        self.world.run().mocks.calls()
    }

    /// Makes it as it was when it had started: no event, no execution, no mock, the project anew. Address and key stay.
    ///
    /// # Errors
    /// The node does not start again.
    pub async fn reset(&self) -> Result<(), TestError> {
        Ok(self.world.reset().await?)
    }

    /// Ends it and waits until it has gone.
    ///
    /// # Errors
    /// It did not end cleanly.
    pub async fn stop(self) -> Result<(), TestError> {
        self.listens.abort();
        Ok(self.world.stop().await?)
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.listens.abort();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let world = self.world.clone();
            runtime.spawn(async move {
                let _it_goes_with_its_directory = world.stop().await;
            });
        }
    }
}

/// Milliseconds of `500ms`, `90s`, `15m`, `25h`, `7d`, also one after the other: `1h30m`.
pub(crate) fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0_u64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let unit = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit);
        let ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(ms)?)?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::duration_ms;

    /// Property: durations are numbers with units, and nothing else.
    #[test]
    fn durations_are_read() {
        for (text, ms) in
            [("500ms", 500), ("90s", 90_000), ("25h", 90_000_000), ("1h30m", 5_400_000), ("7d", 604_800_000)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for bad in ["", "5", "h", "5 h", "-5s", "5w", "99999999999999999999s"] {
            assert_eq!(duration_ms(bad), None, "{bad}");
        }
    }
}
