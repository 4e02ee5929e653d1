//! Writing a projector's batch: rows and positions in one transaction.
//!
//! ```text
//! BEGIN IMMEDIATE
//!   positions   moved, if they stand where the batch starts; else the batch is refused
//!   events      INSERT … ON CONFLICT (seq) DO NOTHING
//!   executions  whole ones: INSERT … ON CONFLICT (id) DO UPDATE
//!   patches     UPDATE … FROM (VALUES …), only of those that have not ended
//!   usage       INSERT … ON CONFLICT DO UPDATE SET used = used + …
//!   letters     of those that failed: INSERT … SELECT; of those that are replayed: UPDATE
//!   erased      DELETE of customers that were erased, while everything is made anew
//! COMMIT
//! ```

mod bind;
mod statement;

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::ids::ExecutionId;
use sqlx::{Row as _, Sqlite, SqlitePool, Transaction};

use self::bind::{Arguments, bind_event, bind_execution, bind_progress};
use self::statement::{DEAD_LETTERS, EVENTS, EXECUTIONS, MARK_REPLAYED, PROGRESS, Statement, chunks};
use super::error::database;
use super::privacy;
use super::usage;
use crate::error::refused;
use crate::projection::{Advance, Position, ProjectionBatch};
use crate::seam::{StoreErrorKind, StoreResult};

pub(super) type Tx = Transaction<'static, Sqlite>;

pub(super) async fn position(pool: &SqlitePool, partition: u32) -> StoreResult<Position> {
    let failed = |error| database("read position of", format!("partition {partition}"), error);
    let row = sqlx::query("SELECT next, epoch FROM projected WHERE part = $1")
        .bind(i64::from(partition))
        .fetch_optional(pool)
        .await
        .map_err(failed)?;
    let Some(row) = row else { return Ok(Position::default()) };
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::cast_unsigned).map_err(failed);
    Ok(Position { next: number(0)?, epoch: number(1)? })
}

pub(super) async fn project(pool: &SqlitePool, batch: ProjectionBatch) -> StoreResult<()> {
    let failed = |error| database("project", "a batch", error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    for advance in &batch.advances {
        move_position(&mut tx, advance).await?;
    }
    let rows = batch.executions.iter().map(|row| (row.id, row.state.status));
    let patches = batch.patches.iter().map(|patch| (patch.id, patch.state.status));
    let failures: Vec<ExecutionId> =
        rows.chain(patches).filter(|(_, status)| is_failure(*status)).map(|(id, _)| id).collect();
    let replayed: Vec<ExecutionId> = batch.executions.iter().filter_map(|row| row.replay_of).collect();

    run(&mut tx, &EVENTS, batch.events, bind_event).await?;
    run(&mut tx, &EXECUTIONS, batch.executions, bind_execution).await?;
    run(&mut tx, &PROGRESS, batch.patches, bind_progress).await?;
    let bind_id = |to: &mut Arguments, id: ExecutionId| to.blob(id.to_bytes().to_vec());
    run(&mut tx, &DEAD_LETTERS, failures, bind_id).await?;
    run(&mut tx, &MARK_REPLAYED, replayed, bind_id).await?;
    usage::count(&mut tx, &batch.usage).await.map_err(failed)?;
    for scope in &batch.erased {
        privacy::erase_rows(&mut tx, scope, -1).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}

const fn is_failure(status: ExecutionStatus) -> bool {
    matches!(status, ExecutionStatus::Failed | ExecutionStatus::Timeout)
}

async fn move_position(tx: &mut Tx, advance: &Advance) -> StoreResult<()> {
    let Advance { partition, from, to } = advance;
    let moved = if *from == Position::default() {
        sqlx::query("INSERT INTO projected (part, next, epoch) VALUES ($1, $2, $3) ON CONFLICT (part) DO NOTHING")
            .bind(i64::from(*partition))
            .bind(to.next.cast_signed())
            .bind(to.epoch.cast_signed())
    } else {
        sqlx::query("UPDATE projected SET next = $2, epoch = $3 WHERE part = $1 AND next = $4 AND epoch = $5")
            .bind(i64::from(*partition))
            .bind(to.next.cast_signed())
            .bind(to.epoch.cast_signed())
            .bind(from.next.cast_signed())
            .bind(from.epoch.cast_signed())
    };
    let context = || format!("partition {partition}");
    let moved = moved.execute(&mut **tx).await.map_err(|error| database("move position of", context(), error))?;
    if moved.rows_affected() == 1 {
        return Ok(());
    }
    Err(refused(
        StoreErrorKind::Conflict,
        "move position of",
        context(),
        format!("it does not stand at {} of epoch {}; another projector has been here", from.next, from.epoch),
    ))
}

/// Runs `statement` over `rows` in chunks of few fixed sizes, so that each text is prepared once.
async fn run<T>(
    tx: &mut Tx,
    statement: &'static Statement,
    rows: Vec<T>,
    bind: impl Fn(&mut Arguments, T),
) -> StoreResult<()> {
    let sizes = chunks(rows.len());
    let mut rows = rows.into_iter();
    for size in sizes {
        let mut arguments = Arguments::new(size.rows() * statement.columns);
        rows.by_ref().take(size.rows()).for_each(|row| bind(&mut arguments, row));
        sqlx::query_with(statement.text(size), arguments.finish())
            .execute(&mut **tx)
            .await
            .map_err(|error| database("project", statement.name, error))?;
    }
    Ok(())
}

pub(super) async fn reset(pool: &SqlitePool) -> StoreResult<()> {
    let failed = |error| database("empty", "the activity tables", error);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(failed)?;
    // Requests to the API are counted nowhere else.
    for table in [
        "DELETE FROM events",
        "DELETE FROM executions",
        "DELETE FROM dead_letters",
        "DELETE FROM usage WHERE measure <> 'api_calls'",
        "DELETE FROM projected",
    ] {
        sqlx::query(table).execute(&mut *tx).await.map_err(failed)?;
    }
    tx.commit().await.map_err(failed)
}
