//! Pools of connections, and what is looked at before a role may serve.

use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

use super::error::database;
use super::migrate::newest_known;
use super::options::PostgresOptions;
use crate::error::refused;
use crate::seam::{Outcome, StoreError, StoreErrorKind, StoreResult};

/// The oldest PostgreSQL that is served.
pub(super) const VERSION_MIN: i64 = 15;

/// What a pool is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serves {
    Application,
    Projector,
    Listener,
}

impl Serves {
    /// How its sessions are called in PostgreSQL.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Application => "fastn-application",
            Self::Projector => "fastn-projector",
            Self::Listener => "fastn-listener",
        }
    }
}

/// A pool of one role, which is looked at before it is used.
pub(super) struct Link {
    pool: PgPool,
    serves: Serves,
    looked: OnceCell<()>,
}

impl Link {
    pub(super) fn new(options: &PostgresOptions, url: &str, serves: Serves) -> StoreResult<Self> {
        let connections_max = match serves {
            Serves::Application => options.connections_max,
            Serves::Projector => options.projector_connections_max,
            Serves::Listener => 1,
        };
        let pool = PgPoolOptions::new()
            .max_connections(connections_max.max(1))
            .min_connections(0)
            .acquire_timeout(options.acquire_timeout)
            .connect_lazy_with(parse(url, serves, options)?);
        Ok(Self { pool, serves, looked: OnceCell::new() })
    }

    /// The pool as it is, for closing it and for listening.
    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// The pool, once its role and schema are known to be right.
    pub(super) async fn ready(&self) -> StoreResult<&PgPool> {
        // Boxed: it is large, and runs once.
        self.looked.get_or_try_init(|| Box::pin(self.look())).await?;
        Ok(&self.pool)
    }

    async fn look(&self) -> StoreResult<()> {
        let name = self.serves.name();
        let mut connection = self.pool.acquire().await.map_err(|error| database("connect", name, error))?;
        let facts = Facts::read(&mut connection).await.map_err(|error| database("look at", name, error))?;
        facts.acceptable(self.serves)
    }
}

/// The way to a server, for one purpose.
pub(super) fn parse(url: &str, serves: Serves, options: &PostgresOptions) -> StoreResult<PgConnectOptions> {
    let statement_timeout = options.statement_timeout.as_millis().to_string();
    let idle_timeout = options.operation_timeout.as_millis().to_string();
    Ok(plain(url)?.application_name(serves.name()).options([
        ("statement_timeout", statement_timeout.as_str()),
        ("idle_in_transaction_session_timeout", idle_timeout.as_str()),
    ]))
}

/// A URL read, with nothing else set. Its error does not repeat the URL, which holds a password.
pub(super) fn plain(url: &str) -> StoreResult<PgConnectOptions> {
    let unusable = || {
        let message = "it is no URL like postgres://role:password@host:port/database";
        refused(StoreErrorKind::Database, "read", "the URL of the store", message)
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(unusable());
    }
    PgConnectOptions::from_str(url).map(|options| options.disable_statement_logging()).map_err(|_| unusable())
}

/// What a connection shows of its server, role and schema.
#[derive(Debug)]
pub(super) struct Facts {
    /// The major version.
    pub(super) version: i64,
    pub(super) role: String,
    /// It is, or can become, a superuser or a role with BYPASSRLS.
    pub(super) can_bypass: bool,
    /// It is, or can become, the owner of a table.
    pub(super) can_own: bool,
    pub(super) read_only: bool,
    /// The server's time in microseconds.
    pub(super) now: i64,
    /// The newest migration.
    pub(super) schema: Option<i64>,
    pub(super) may_serve: bool,
    pub(super) may_project: bool,
}

impl Facts {
    pub(super) async fn read(connection: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::query!(
            "SELECT current_setting('server_version_num')::BIGINT AS \"version!\", current_user::TEXT AS \"role!\", \
             EXISTS (SELECT 1 FROM pg_roles r WHERE (r.rolsuper OR r.rolbypassrls) \
             AND pg_has_role(current_user, r.oid, 'MEMBER')) AS \"can_bypass!\", \
             EXISTS (SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'public' AND c.relname IN ('resources', 'events', 'executions', 'projected') \
             AND pg_has_role(current_user, c.relowner, 'MEMBER')) AS \"can_own!\", \
             (pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on') AS \"read_only!\", \
             (extract(epoch FROM clock_timestamp()) * 1000000)::BIGINT AS \"now!\", \
             to_regclass('public._sqlx_migrations') IS NOT NULL AS \"migrated!\", \
             COALESCE(has_table_privilege(to_regclass('public.resources'), 'SELECT, INSERT'), FALSE) AS \"may_serve!\", \
             COALESCE(has_table_privilege(to_regclass('public.projected'), 'INSERT'), FALSE) AS \"may_project!\""
        )
        .fetch_one(&mut *connection)
        .await?;
        let schema = if row.migrated {
            // Without the right to read it, the migration has not come as far as granting.
            let newest = sqlx::query_scalar!("SELECT MAX(version) FROM _sqlx_migrations WHERE success");
            newest.fetch_one(&mut *connection).await.unwrap_or(None)
        } else {
            None
        };
        Ok(Self {
            version: row.version / 10_000,
            role: row.role,
            can_bypass: row.can_bypass,
            can_own: row.can_own,
            read_only: row.read_only,
            now: row.now,
            schema,
            may_serve: row.may_serve,
            may_project: row.may_project,
        })
    }

    /// Whether a node may work with it.
    pub(super) fn acceptable(&self, serves: Serves) -> StoreResult<()> {
        let refuse = |kind, message: String| Err(refused(kind, "open store", serves.name(), message));
        let known = newest_known();
        if self.version < VERSION_MIN {
            let message = format!("it is PostgreSQL {}; {VERSION_MIN} or newer is needed", self.version);
            return refuse(StoreErrorKind::Database, message);
        }
        if self.can_bypass || self.can_own {
            return refuse(StoreErrorKind::Database, self.bypass_message());
        }
        match self.schema {
            Some(version) if version > known => {
                let message =
                    format!("its schema has version {version}, this program knows {known}; run a newer program");
                refuse(StoreErrorKind::SchemaNewer, message)
            }
            Some(version) if version == known => Ok(()),
            found => {
                let found = found.map_or_else(|| "none".to_owned(), |version| format!("version {version}"));
                let message = format!("its schema has {found}, this program needs {known}; run `fastn migrate`");
                refuse(StoreErrorKind::Database, message)
            }
        }
    }

    pub(super) fn bypass_message(&self) -> String {
        let what = if self.can_bypass { "bypass row-level security" } else { "own the tables" };
        format!("its role {} can {what}; use the roles that `fastn migrate` makes", self.role)
    }
}

/// Connects once, for an owner's work or an examination.
pub(super) async fn connect_once(options: &PgConnectOptions, context: &str) -> StoreResult<PgConnection> {
    let connected = tokio::time::timeout(std::time::Duration::from_secs(10), options.connect()).await;
    match connected {
        Ok(connected) => connected.map_err(|error| database("connect", context, error)),
        Err(_) => Err(StoreError { context: context.to_owned(), ..super::error::late("connect", Outcome::NotDone) }),
    }
}
