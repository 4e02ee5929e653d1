//! Reading alerts.

use fastn_contract::alert::AlertView;
use fastn_contract::page::Page;
use fastn_domain::scope::Reach;

use super::row::{Columns, next_cursor, read_label_error};
use super::{Cells, Reader, Select};
use crate::alerts::AlertFilter;
use crate::label::Label as _;
use crate::seam::{PageRequest, StoreResult};

const SELECT: &str = "SELECT t.seq, t.fired, t.body FROM alerts t";
const PENDING: &str = "SELECT COUNT(*) AS number FROM dead_letters t";

pub(crate) async fn list(
    reader: &mut impl Reader,
    reach: &Reach,
    filter: &AlertFilter,
    page: &PageRequest,
) -> StoreResult<Page<AlertView>> {
    let mut query = Select::within(SELECT, reach);
    if let Some(state) = filter.state {
        query.push(" AND t.state = ").bind_text(state.label());
    }
    if let Some(rule) = &filter.rule {
        query.push(" AND t.rule = ").bind_text(rule);
    }
    let limit = query.newest_first("alerts", "fired", page)?;
    let rows = reader.rows(query, "list", "alerts").await?;
    let next_cursor = next_cursor(&rows, limit, "alerts", "fired")?;
    let items = rows.iter().take(limit as usize).map(view).collect::<StoreResult<_>>()?;
    Ok(Page { items, next_cursor })
}

pub(crate) async fn one(reader: &mut impl Reader, reach: &Reach, id: &str) -> StoreResult<Option<AlertView>> {
    let mut query = Select::within(SELECT, reach);
    query.push(" AND t.id = ").bind_text(id);
    let rows = reader.rows(query, "read alert", id).await?;
    rows.first().map(view).transpose()
}

fn view(row: &impl Cells) -> StoreResult<AlertView> {
    Columns::new("alerts", row).json("body")?.ok_or_else(|| read_label_error("alerts", "body", "nothing"))
}

/// How many dead letters are pending within `reach`.
pub(crate) async fn pending_dead_letters(
    reader: &mut impl Reader,
    reach: &Reach,
    workflow: Option<&str>,
) -> StoreResult<u64> {
    let mut query = Select::within(PENDING, reach);
    query.push(" AND t.status = 'pending'");
    if let Some(workflow) = workflow {
        query.push(" AND t.workflow = ").bind_text(workflow);
    }
    let rows = reader.rows(query, "count", "dead letters").await?;
    let number = rows.first().map(|row| Columns::new("dead_letters", row).number("number")).transpose()?;
    Ok(number.unwrap_or(0).cast_unsigned())
}
