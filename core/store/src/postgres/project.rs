//! The projector's batch: a transaction of a few statements over whole columns.
//!
//! Locks are taken in one order, so that no two projectors wait for each other in a circle: positions by partition, then
//! events, executions, dead letters and usage. The positions come first and are compared with what is stored; whoever is second
//! waits for the first one's commit and is refused.

use fastn_domain::ids::ExecutionId;
use sqlx::{PgConnection, PgPool};

use super::columns::{Events, Executions, States};
use super::error::{commit, database};
use super::privacy::erase_again;
use super::usage;
use crate::error::refused;
use crate::projection::{Advance, EventRow, Position, ProjectionBatch};
use crate::seam::{StoreErrorKind, StoreResult};

/// Rows of one statement: enough that its fixed cost is nothing, few enough that a message stays small.
const STATEMENT_ROWS_MAX: usize = 500;

pub(super) async fn position(pool: &PgPool, partition: u32) -> StoreResult<Position> {
    let row = sqlx::query!("SELECT next, epoch FROM projected WHERE part = $1", i64::from(partition))
        .fetch_optional(pool)
        .await
        .map_err(|error| database("read position of", format!("partition {partition}"), error))?;
    Ok(row.map_or_else(Position::default, |row| Position {
        next: row.next.cast_unsigned(),
        epoch: row.epoch.cast_unsigned(),
    }))
}

pub(super) async fn project(pool: &PgPool, batch: ProjectionBatch) -> StoreResult<()> {
    let failed = |error| database("project", "a batch", error);
    let ProjectionBatch { mut advances, events, mut executions, mut patches, usage: used, erased } = batch;
    advances.sort_by_key(|advance| advance.partition);
    let replayed: Vec<Vec<u8>> =
        executions.iter().filter_map(|row| row.replay_of).map(|id: ExecutionId| id.to_bytes().to_vec()).collect();
    let mut tx = pool.begin().await.map_err(failed)?;
    for advance in &advances {
        move_position(&mut tx, advance).await?;
    }
    for rows in events.chunks(STATEMENT_ROWS_MAX) {
        put_events(&mut tx, rows).await.map_err(failed)?;
    }
    while !executions.is_empty() {
        let rows = Executions::of(take(&mut executions));
        make_room(&mut tx, &rows).await.map_err(failed)?;
        put_executions(&mut tx, rows).await.map_err(failed)?;
    }
    while !patches.is_empty() {
        put_progress(&mut tx, States::of(take(&mut patches))).await.map_err(failed)?;
    }
    if !replayed.is_empty() {
        sqlx::query!("UPDATE dead_letters SET status = 'replayed' WHERE id = ANY($1)", &replayed)
            .execute(&mut *tx)
            .await
            .map_err(failed)?;
    }
    usage::count(&mut tx, &used).await.map_err(failed)?;
    for scope in &erased {
        erase_again(&mut tx, scope).await.map_err(failed)?;
    }
    tx.commit().await.map_err(|error| commit("project", "a batch", error))
}

/// The rows of the next statement, in their order: it numbers them.
fn take<T>(rows: &mut Vec<T>) -> Vec<T> {
    let rest = rows.split_off(rows.len().min(STATEMENT_ROWS_MAX));
    std::mem::replace(rows, rest)
}

async fn move_position(tx: &mut PgConnection, advance: &Advance) -> StoreResult<()> {
    let Advance { partition, from, to } = advance;
    let context = || format!("partition {partition}");
    let (part, next, epoch) = (i64::from(*partition), to.next.cast_signed(), to.epoch.cast_signed());
    let moved = if *from == Position::default() {
        sqlx::query!(
            "INSERT INTO projected (part, next, epoch) VALUES ($1, $2, $3) ON CONFLICT (part) DO NOTHING",
            part,
            next,
            epoch
        )
        .execute(tx)
        .await
    } else {
        let (from_next, from_epoch) = (from.next.cast_signed(), from.epoch.cast_signed());
        sqlx::query!(
            "UPDATE projected SET next = $2, epoch = $3 WHERE part = $1 AND next = $4 AND epoch = $5",
            part,
            next,
            epoch,
            from_next,
            from_epoch
        )
        .execute(tx)
        .await
    };
    let moved = moved.map_err(|error| database("move position of", context(), error))?;
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

async fn put_events(tx: &mut PgConnection, rows: &[EventRow]) -> Result<(), sqlx::Error> {
    let rows = Events::of(rows);
    sqlx::query!(
        "INSERT INTO events (seq, account, customer, id, received, status, kind, source, subject, origin, trigger_id, \
         time, reason, executions, headers, data, quota, priority) SELECT * FROM UNNEST($1::BIGINT[], $2::TEXT[], $3::TEXT[], \
         $4::TEXT[], $5::BIGINT[], $6::TEXT[], $7::TEXT[], $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], \
         $12::BIGINT[], $13::TEXT[], $14::BYTEA[], $15::TEXT[], $16::TEXT[], $17::TEXT[], $18::BIGINT[]) \
         ON CONFLICT (seq, received) DO NOTHING",
        &rows.seq,
        &rows.account as _,
        &rows.customer as _,
        &rows.id as _,
        &rows.received,
        &rows.status as _,
        &rows.kind as _,
        &rows.source as _,
        &rows.subject as _,
        &rows.origin as _,
        &rows.trigger as _,
        &rows.time,
        &rows.reason as _,
        &rows.executions as _,
        &rows.headers as _,
        &rows.data as _,
        &rows.quota as _,
        &rows.priority as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Takes away what rows that come whole replace: a living execution of the same id, and an ended one of the same id and
/// time. Only then can a plain insert put them, for which the projector need not be able to read what it writes.
async fn make_room(tx: &mut PgConnection, rows: &Executions) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM executions WHERE NOT ended AND id = ANY($1)", &rows.state.id).execute(&mut *tx).await?;
    sqlx::query!(
        "DELETE FROM executions e USING UNNEST($1::BYTEA[], $2::BIGINT[]) AS v (id, created) \
         WHERE e.ended AND e.id = v.id AND e.created = v.created",
        &rows.state.id,
        &rows.created
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Those that failed are put down as dead letters too.
async fn put_executions(tx: &mut PgConnection, rows: Executions) -> Result<(), sqlx::Error> {
    let state = &rows.state;
    sqlx::query!(
        "WITH put AS (INSERT INTO executions (id, account, customer, created, ended, status, workflow, version, \
         environment, tier, origin, trigger_id, event_id, event_seq, replay_of, parent, attempt, finished, step_count, \
         error, event_kind, event_source, event_time, headers, input, steps, logs, output, results, waits, flow) \
         SELECT * FROM UNNEST($1::BYTEA[], $2::TEXT[], $3::TEXT[], $4::BIGINT[], $5::BOOLEAN[], $6::TEXT[], \
         $7::TEXT[], $8::BIGINT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[], $14::BIGINT[], \
         $15::BYTEA[], $16::BYTEA[], $17::BIGINT[], $18::BIGINT[], $19::BIGINT[], $20::TEXT[], $21::TEXT[], \
         $22::TEXT[], $23::BIGINT[], $24::TEXT[], $25::TEXT[], $26::TEXT[], $27::TEXT[], $28::TEXT[], $29::TEXT[], \
         $30::TEXT[], $31::TEXT[]) \
         RETURNING id, account, customer, workflow, event_id, status, attempt, finished, error) \
         INSERT INTO dead_letters (id, account, customer, workflow, event_id, status, attempts, created, error) \
         SELECT id, account, customer, workflow, event_id, 'pending', attempt, finished, error FROM put \
         WHERE status IN ('failed', 'timeout') AND error IS NOT NULL AND finished IS NOT NULL \
         ON CONFLICT (id, created) DO UPDATE SET status = excluded.status, attempts = excluded.attempts, \
         error = excluded.error",
        &state.id,
        &rows.account,
        &rows.customer,
        &rows.created,
        &state.ended,
        &state.status as _,
        &rows.workflow,
        &rows.version,
        &rows.environment,
        &state.tier as _,
        &rows.origin as _,
        &rows.trigger as _,
        &rows.event_id,
        &rows.event_seq as _,
        &rows.replay_of as _,
        &rows.parent as _,
        &state.attempt,
        &state.finished as _,
        &state.step_count,
        &state.error as _,
        &rows.event_kind as _,
        &rows.event_source as _,
        &rows.event_time as _,
        &rows.headers as _,
        &rows.input as _,
        &state.steps as _,
        &state.logs as _,
        &state.output as _,
        &state.results as _,
        &state.waits as _,
        &rows.flow as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// What changed of executions that are there and have not ended. The end of one moves it to its day.
async fn put_progress(tx: &mut PgConnection, rows: States) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "WITH put AS (UPDATE executions e SET ended = v.ended, status = v.status, attempt = v.attempt, tier = v.tier, \
         finished = v.finished, \
         step_count = CASE WHEN v.ended THEN v.step_count ELSE e.step_count + v.step_count END, \
         error = CASE WHEN v.ended THEN v.error ELSE COALESCE(v.error, e.error) END, \
         steps = v.steps, logs = v.logs, output = v.output, \
         results = CASE WHEN v.status = 'completed' THEN NULL WHEN v.results IS NULL THEN e.results \
         ELSE COALESCE(e.results, '') || v.results END, \
         waits = CASE WHEN v.ended THEN NULL WHEN v.waits IS NULL THEN e.waits \
         ELSE COALESCE(e.waits, '') || v.waits END \
         FROM UNNEST($1::BYTEA[], $2::BOOLEAN[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[], $7::BIGINT[], \
         $8::TEXT[], $9::TEXT[], $10::TEXT[], $11::TEXT[], $12::TEXT[], $13::TEXT[]) \
         AS v (id, ended, status, attempt, tier, finished, step_count, error, steps, logs, output, results, waits) \
         WHERE e.id = v.id AND NOT e.ended \
         RETURNING e.id, e.account, e.customer, e.workflow, e.event_id, e.status, e.attempt, e.finished, e.error) \
         INSERT INTO dead_letters (id, account, customer, workflow, event_id, status, attempts, created, error) \
         SELECT id, account, customer, workflow, event_id, 'pending', attempt, finished, error FROM put \
         WHERE status IN ('failed', 'timeout') AND error IS NOT NULL AND finished IS NOT NULL \
         ON CONFLICT (id, created) DO UPDATE SET status = excluded.status, attempts = excluded.attempts, \
         error = excluded.error",
        &rows.id,
        &rows.ended,
        &rows.status as _,
        &rows.attempt,
        &rows.tier as _,
        &rows.finished as _,
        &rows.step_count,
        &rows.error as _,
        &rows.steps as _,
        &rows.logs as _,
        &rows.output as _,
        &rows.results as _,
        &rows.waits as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

pub(super) async fn reset(pool: &PgPool) -> StoreResult<()> {
    let failed = |error| commit("empty", "the activity tables", error);
    let mut tx = pool.begin().await.map_err(failed)?;
    sqlx::query!("SELECT reset_activity() AS done").execute(&mut *tx).await.map_err(failed)?;
    sqlx::query!("SELECT reset_usage() AS done").execute(&mut *tx).await.map_err(failed)?;
    tx.commit().await.map_err(failed)
}
