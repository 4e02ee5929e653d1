//! Brings a database file to the schema that this program knows. Forward only.

use sqlx::SqlitePool;
use sqlx::migrate::{MigrateError, Migrator};

use crate::seam::{Outcome, StoreError, StoreErrorKind, StoreResult};

pub(crate) static CONFIG: Migrator = sqlx::migrate!("../../migrations/sqlite/config");
pub(crate) static ACTIVITY: Migrator = sqlx::migrate!("../../migrations/sqlite/activity");

pub(crate) async fn migrate(pool: &SqlitePool, migrator: &Migrator, file: &str) -> StoreResult<()> {
    migrator.run(pool).await.map_err(|error| {
        let (kind, message) = match &error {
            MigrateError::VersionMissing(version) => (
                StoreErrorKind::SchemaNewer,
                format!("its schema has version {version}, which this program does not know; run a newer program"),
            ),
            MigrateError::VersionMismatch(version) => (
                StoreErrorKind::Corrupt,
                format!("its schema version {version} was made by another text than this program's"),
            ),
            _ => (StoreErrorKind::Database, "its schema could not be brought up to date".to_owned()),
        };
        let source = Some(Box::new(error) as Box<dyn std::error::Error + Send + Sync>);
        StoreError {
            kind,
            outcome: Outcome::NotDone,
            operation: "migrate database",
            context: file.to_owned(),
            message,
            source,
        }
    })
}
