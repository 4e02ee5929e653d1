//! A database of its own for each test, migrated by an owner that is no superuser.

use std::sync::atomic::{AtomicU32, Ordering};

use fastn_store::{MigrateOptions, PostgresOptions, PostgresStore, migrate};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

const OWNER: &str = "fastn_test_owner";

/// A migrated database. It stays until the server's folder is wiped: dropping it would have to wait for its sessions.
pub(crate) struct Database {
    pub(crate) name: String,
    /// `host:port`
    pub(crate) address: String,
    superuser: String,
}

impl Database {
    /// A database with the schema and the roles.
    pub(crate) async fn new() -> Self {
        let database = Self::empty().await;
        migrate(&database.owner(), &MigrateOptions::default()).await.expect("an empty database migrates");
        database
    }

    /// A database without anything.
    pub(crate) async fn empty() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let superuser = tokio::task::spawn_blocking(fastn_testkit::services::postgres).await.expect("runs");
        let address = superuser.split(['@', '/']).nth(3).expect("postgres://user@host:port/database").to_owned();
        let name = format!("store_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let database = Self { name, address, superuser };
        let mut server = PgConnection::connect(&database.superuser).await.expect("the server is there");
        let made = sqlx::raw_sql(AssertSqlSafe(format!("CREATE ROLE {OWNER} LOGIN CREATEROLE"))).execute(&mut server);
        // Another test may have made it.
        drop(made.await);
        let text = format!("DROP DATABASE IF EXISTS {0}; CREATE DATABASE {0} OWNER {OWNER}", database.name);
        for text in text.split("; ") {
            sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut server).await.expect("a database is made");
        }
        database
    }

    /// The URL for a role.
    pub(crate) fn url(&self, role: &str) -> String {
        format!("postgres://{role}:hush@{}/{}", self.address, self.name)
    }

    pub(crate) fn owner(&self) -> String {
        self.url(OWNER)
    }

    pub(crate) fn options(&self) -> PostgresOptions {
        PostgresOptions::new(self.url("fastn_app")).with_projector(self.url("fastn_projector"))
    }

    pub(crate) async fn store(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.expect("a migrated database opens")
    }

    /// A session of `role`.
    pub(crate) async fn session(&self, role: &str) -> PgConnection {
        PgConnection::connect(&self.url(role)).await.expect("the role may connect")
    }

    /// A session that sees everything.
    pub(crate) async fn superuser(&self) -> PgConnection {
        self.session("postgres").await
    }
}
