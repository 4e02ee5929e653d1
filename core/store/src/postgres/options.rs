//! How a store on PostgreSQL is opened.

use std::sync::Arc;
use std::time::Duration;

use fastn_domain::time::Clock;

use crate::clock::SystemClock;

/// What an operator may turn.
#[derive(Clone)]
pub struct PostgresOptions {
    /// Where it is, as the application's role: `postgres://role:password@host:port/database`. TLS by its parameters, e.g.
    /// `?sslmode=verify-full&sslrootcert=ca.pem`.
    pub url: String,
    /// The same as the projector's role; absent in a process that neither projects nor prunes.
    pub projector_url: Option<String>,
    /// Most connections of the application's role.
    pub connections_max: u32,
    /// Most connections of the projector's role.
    pub projector_connections_max: u32,
    /// How long a call waits for a connection.
    pub acquire_timeout: Duration,
    /// How long PostgreSQL may work on one statement.
    pub statement_timeout: Duration,
    /// How long one operation of the seam may take in all.
    pub operation_timeout: Duration,
    /// Whether a store may be opened while PostgreSQL is away.
    pub start_without_server: bool,
    /// Where the store reads the time of changes.
    pub clock: Arc<dyn Clock>,
}

impl PostgresOptions {
    /// Usual settings for the application's `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            projector_url: None,
            connections_max: 10,
            projector_connections_max: 2,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            operation_timeout: Duration::from_secs(60),
            start_without_server: false,
            clock: Arc::new(SystemClock),
        }
    }

    /// With the projector's URL too.
    #[must_use]
    pub fn with_projector(mut self, url: impl Into<String>) -> Self {
        self.projector_url = Some(url.into());
        self
    }
}

impl std::fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The URLs hold passwords.
        f.debug_struct("PostgresOptions")
            .field("projects", &self.projector_url.is_some())
            .field("connections_max", &self.connections_max)
            .finish_non_exhaustive()
    }
}
