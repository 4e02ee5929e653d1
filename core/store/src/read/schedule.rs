//! Reading the runs of schedules. The indexes hold these alone, so every query says `origin = 'schedule'` in its text.

use fastn_contract::activity::ExecutionStatus;
use fastn_domain::ids::{AccountId, CustomerId, EventId, TriggerId};
use fastn_domain::scope::Reach;
use fastn_domain::time::Timestamp;

use super::row::{Columns, customer, read_label_error};
use super::{Reader, Select};
use crate::seam::{ScheduleRuns, StoreResult};

const NEWEST: &str = "SELECT t.created, t.status, t.event_id FROM executions t";

const FAILED_FIRES: &str = "SELECT COUNT(DISTINCT t.event_id) AS fires, MAX(t.created) AS newest, \
    MAX(t.event_id) AS newest_event FROM executions t";

const FAILING: &str = "SELECT DISTINCT t.trigger_id FROM executions t";

const KNOWN: &str = "SELECT DISTINCT t.customer, t.id FROM events t";

/// Ids that one query looks for.
const IDS_OF_ONE_QUERY: usize = 500;

pub(crate) async fn runs(
    reader: &mut impl Reader,
    reach: &Reach,
    trigger: &TriggerId,
    after: Timestamp,
    after_event: &str,
) -> StoreResult<ScheduleRuns> {
    let of_trigger = |select: &'static str| {
        let mut query = Select::within(select, reach);
        query.push(" AND t.origin = 'schedule' AND t.trigger_id = ").bind_text(trigger.as_str());
        query
    };
    let mut newest = of_trigger(NEWEST);
    newest.push(" ORDER BY t.created DESC LIMIT 1");
    let rows = reader.rows(newest, "read runs of", trigger.as_str()).await?;
    let Some(row) = rows.first() else { return Ok(ScheduleRuns::default()) };
    let row = Columns::new("executions", row);
    let last: Option<(Timestamp, ExecutionStatus)> = Some((Timestamp(row.number("created")?), row.label("status")?));

    if last.is_none_or(|(at, _)| at <= after) {
        return Ok(ScheduleRuns { last, ..ScheduleRuns::default() });
    }
    let mut completed = of_trigger(NEWEST);
    completed.push(" AND t.status = 'completed' AND t.created > ").bind_number(after.0);
    completed.push(" ORDER BY t.created DESC LIMIT 1");
    let rows = reader.rows(completed, "read runs of", trigger.as_str()).await?;
    let completed = match rows.first().map(|row| Columns::new("executions", row)) {
        Some(row) => Some((Timestamp(row.number("created")?), row.text("event_id")?)),
        None => None,
    };

    let mut failed = of_trigger(FAILED_FIRES);
    failed.push(" AND t.status IN ('failed', 'timeout') AND t.created > ").bind_number(after.0);
    // Ids of fires are in the order of their times.
    let since = completed.as_ref().map_or(after_event, |(_, event)| after_event.max(event.as_str()));
    failed.push(" AND t.event_id > ").bind_text(since);
    // A fire that completed for one customer has not failed, and one that still runs may complete.
    failed.push(
        " AND NOT EXISTS (SELECT 1 FROM executions o WHERE o.account = t.account AND o.event_id = t.event_id \
         AND o.trigger_id = t.trigger_id AND o.status NOT IN ('failed', 'timeout', 'cancelled'))",
    );
    let rows = reader.rows(failed, "count failures of", trigger.as_str()).await?;
    let mut runs = ScheduleRuns { last, completed: completed.map(|(at, _)| at), ..ScheduleRuns::default() };
    if let Some(row) = rows.first().map(|row| Columns::new("executions", row)) {
        runs.failed = row.count("fires")?;
        let newest = row.number_or_null("newest")?.map(Timestamp);
        runs.newest_failed = newest.zip(row.text_or_null("newest_event")?);
    }
    Ok(runs)
}

pub(crate) async fn failing(
    reader: &mut impl Reader,
    account: &AccountId,
    since: Timestamp,
    limit: u32,
) -> StoreResult<Vec<TriggerId>> {
    let mut query = Select::within(FAILING, &Reach::Account(account.clone()));
    query.push(" AND t.origin = 'schedule' AND t.status IN ('failed', 'timeout') AND t.finished >= ");
    query.bind_number(since.0).push(" ORDER BY t.trigger_id LIMIT ").bind_number(i64::from(limit));
    let rows = reader.rows(query, "list failing schedules of", account.as_str()).await?;
    let trigger = |row| {
        let text = Columns::new("executions", row).text("trigger_id")?;
        TriggerId::new(&text).map_err(|_| read_label_error("executions", "trigger_id", &text))
    };
    rows.iter().map(|row| trigger(row)).collect()
}

pub(crate) async fn known_events(
    reader: &mut impl Reader,
    reach: &Reach,
    ids: &[EventId],
) -> StoreResult<Vec<(CustomerId, EventId)>> {
    let mut known = Vec::new();
    for ids in ids.chunks(IDS_OF_ONE_QUERY) {
        let mut query = Select::within(KNOWN, reach);
        query.push(" AND t.id IN (");
        for (at, id) in ids.iter().enumerate() {
            query.push(if at > 0 { ", " } else { "" }).bind_text(id.as_str());
        }
        query.push(")");
        for row in &reader.rows(query, "look for", "events").await? {
            let row = Columns::new("events", row);
            let (whose, id) = (row.text("customer")?, row.text("id")?);
            let whose = customer(Some(&whose))?.ok_or_else(|| read_label_error("events", "customer", "nothing"))?;
            known.push((whose, EventId::new(&id).map_err(|_| read_label_error("events", "id", &id))?));
        }
    }
    Ok(known)
}
