//! Brings the schema up to date and makes the roles that serve. Forward only; run by `fastn migrate` as the owner.
//!
//! Running it again changes nothing, running it twice at once lets one wait for the other. Every run grants the roles their
//! rights anew, so it also repairs them.

use fastn_domain::time::Clock as _;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{Connection as _, PgConnection};

use super::connect::{Facts, VERSION_MIN, connect_once, plain};
use super::error::database;
use crate::clock::SystemClock;
use crate::error::refused;
use crate::seam::{Outcome, StoreError, StoreErrorKind, StoreResult};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");
const OPERATION: &str = "migrate";
const PLACE: &str = "the database";

/// The newest migration that this program knows.
pub(super) fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// The roles that serve.
#[derive(Clone)]
pub struct MigrateOptions {
    /// The application's role.
    pub application_role: String,
    /// Its password; absent leaves the one it has, or none.
    pub application_password: Option<String>,
    /// The projector's role.
    pub projector_role: String,
    /// Its password; absent leaves the one it has, or none.
    pub projector_password: Option<String>,
}

impl Default for MigrateOptions {
    fn default() -> Self {
        Self {
            application_role: "fastn_app".to_owned(),
            application_password: None,
            projector_role: "fastn_projector".to_owned(),
            projector_password: None,
        }
    }
}

impl std::fmt::Debug for MigrateOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MigrateOptions")
            .field("application_role", &self.application_role)
            .field("projector_role", &self.projector_role)
            .finish_non_exhaustive()
    }
}

/// What a migration did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The schema's version before; nothing in an empty database.
    pub from: Option<i64>,
    /// The version now.
    pub to: i64,
}

/// Migrates the database behind `owner_url` and makes the roles.
///
/// # Errors
/// `SchemaNewer` when a newer program has migrated it; `Database` when the owner lacks a right, with what to do;
/// `Unavailable` when PostgreSQL is away. What it began is safe to begin again.
pub async fn migrate(owner_url: &str, options: &MigrateOptions) -> StoreResult<Migrated> {
    let failed = |error| database(OPERATION, PLACE, error);
    let mut owner = connect_once(&plain(owner_url)?.application_name("fastn-migrate"), "as the owner").await?;
    // Held until the connection ends.
    sqlx::query!("SELECT pg_advisory_lock(hashtextextended('fastn migrate', 0)) AS locked")
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    let before = Facts::read(&mut owner).await.map_err(failed)?;
    if before.version < VERSION_MIN {
        let message = format!("it is PostgreSQL {}; {VERSION_MIN} or newer is needed", before.version);
        return Err(refused(StoreErrorKind::Database, OPERATION, PLACE, message));
    }
    make_role(&mut owner, &before, &options.application_role, options.application_password.as_deref()).await?;
    make_role(&mut owner, &before, &options.projector_role, options.projector_password.as_deref()).await?;
    MIGRATIONS.run(&mut owner).await.map_err(unmigrated)?;
    sqlx::query!("SELECT grant_rights($1, $2) AS done", options.application_role, options.projector_role)
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    sqlx::query!("SELECT grant_usage_rights($1, $2) AS done", options.application_role, options.projector_role)
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    sqlx::query!("SELECT grant_marks($1) AS done", options.application_role)
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    let (application, projector) = (&options.application_role, &options.projector_role);
    sqlx::query!("SELECT grant_alert_rights($1, $2) AS done", application, projector)
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    sqlx::query!("SELECT grant_polls($1) AS done", application).execute(&mut owner).await.map_err(failed)?;
    sqlx::query!("SELECT grant_rights_of_privacy($1, $2) AS done", application, projector)
        .execute(&mut owner)
        .await
        .map_err(failed)?;
    make_days(&mut owner).await.map_err(failed)?;
    owner.close().await.map_err(failed)?;
    Ok(Migrated { from: before.schema, to: newest_known() })
}

/// Today and the days to come, so that not even the first batch has to wait for them.
async fn make_days(owner: &mut PgConnection) -> Result<(), sqlx::Error> {
    let today = SystemClock.now().0.div_euclid(86_400_000_000);
    for table in ["events", "executions", "dead_letters"] {
        for day in today..=today + 2 {
            sqlx::query_scalar!("SELECT make_day($1, $2) AS made", table, day).fetch_one(&mut *owner).await?;
        }
    }
    Ok(())
}

fn unmigrated(error: MigrateError) -> StoreError {
    let (kind, message) = match &error {
        MigrateError::VersionMissing(version) => (
            StoreErrorKind::SchemaNewer,
            format!("its schema has version {version}, which this program does not know; run a newer program"),
        ),
        MigrateError::VersionMismatch(version) => (
            StoreErrorKind::Corrupt,
            format!("its schema version {version} was made by another text than this program's"),
        ),
        MigrateError::Dirty(version) => {
            (StoreErrorKind::Corrupt, format!("version {version} was begun and not ended; restore the database"))
        }
        _ => {
            (StoreErrorKind::Database, "its schema could not be brought up to date; is this role the owner?".to_owned())
        }
    };
    StoreError {
        kind,
        outcome: Outcome::NotDone,
        operation: OPERATION,
        context: PLACE.to_owned(),
        message,
        source: Some(Box::new(error)),
    }
}

async fn make_role(owner: &mut PgConnection, facts: &Facts, role: &str, password: Option<&str>) -> StoreResult<()> {
    let refuse = |message: String| Err(refused(StoreErrorKind::Database, OPERATION, format!("role {role}"), message));
    if role == facts.role {
        return refuse(
            "it is the owner, which row-level security would not bind; take another role to serve".to_owned(),
        );
    }
    let failed = |error| database("make role", role, error);
    let found = sqlx::query!(
        "SELECT (rolsuper OR rolbypassrls) AS \"powerful!\", rolcanlogin AS \"login!\" FROM pg_roles WHERE rolname = $1",
        role
    )
    .fetch_optional(&mut *owner)
    .await
    .map_err(failed)?;
    match found {
        Some(found) if found.powerful => {
            return refuse("it can bypass row-level security; take another one".to_owned());
        }
        Some(found) if !found.login => return refuse("it can't log in: ALTER ROLE … LOGIN".to_owned()),
        Some(_) => {}
        None => {
            let text = "CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE";
            let made = statement(owner, text, role, "").await;
            match made {
                // Roles are shared by all databases of a server, and another one may be migrated right now.
                Err(sqlx::Error::Database(answer))
                    if matches!(answer.code().as_deref(), Some("42710") | Some("23505")) => {}
                Err(sqlx::Error::Database(answer)) if answer.code().as_deref() == Some("42501") => {
                    let message =
                        "this role may not make roles; as a superuser: CREATE ROLE … LOGIN NOSUPERUSER NOBYPASSRLS";
                    return refuse(message.to_owned());
                }
                made => made.map_err(failed)?,
            }
        }
    }
    match password {
        Some(password) => statement(owner, "ALTER ROLE %I PASSWORD %L", role, password).await.map_err(failed),
        None => Ok(()),
    }
}

/// Runs a statement that takes no parameters, with `role` and `value` quoted by PostgreSQL.
async fn statement(owner: &mut PgConnection, text: &str, role: &str, value: &str) -> Result<(), sqlx::Error> {
    let text = sqlx::query_scalar!("SELECT format($1, $2::TEXT, $3::TEXT) AS \"text!\"", text, role, value)
        .fetch_one(&mut *owner)
        .await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(owner).await.map(drop)
}
