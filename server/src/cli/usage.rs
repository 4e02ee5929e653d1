//! `fastn usage`: what is left of every limit, and what was used by day.

use clap::Args;
use fastn_sdk::contract::quota::{CurrentUsage, QuotaView};

use super::{Remote, print};

#[derive(Debug, Args)]
#[command(after_help = "Examples: fastn usage --customer cus_acme   ·   fastn usage --by-day --measure events")]
pub(crate) struct Usage {
    /// Show what was used by customer and day instead
    #[arg(long)]
    by_day: bool,
    /// With --by-day: only this, e.g. events, events_blocked, executions, api_calls
    #[arg(long, requires = "by_day")]
    measure: Option<String>,
    /// With --by-day: most rows
    #[arg(long, default_value_t = 100, requires = "by_day")]
    limit: usize,
    #[command(flatten)]
    remote: Remote,
}

pub(crate) async fn run(usage: Usage) -> anyhow::Result<()> {
    let client = usage.remote.client()?;
    if usage.by_day {
        let rows = client.usage().filter("measure", usage.measure).take(usage.limit).await?;
        return print::rows(usage.remote.json, &rows, &["DAY", "CUSTOMER", "MEASURE", "USED"], |row| {
            vec![row.day.clone(), row.customer.clone(), row.measure.as_str().to_owned(), row.used.to_string()]
        });
    }
    let current = client.current_usage().await?;
    if usage.remote.json {
        return print::value(&current);
    }
    print::line(head(&current))?;
    let titles = ["LIMIT", "OF", "MODE", "FROM", "USED", "LEFT", "UNTIL"];
    print::rows(false, &current.quotas, &titles, cells)
}

fn head(current: &CurrentUsage) -> String {
    let whose = current.customer.as_ref().map_or_else(|| "the account".to_owned(), |id| format!("customer {id}"));
    let tier = current.tier.as_ref().map_or_else(String::new, |tier| format!(", tier {tier}"));
    format!("{whose}: plan {}{tier}", current.plan)
}

fn cells(quota: &QuotaView) -> Vec<String> {
    let number =
        |number: Option<u64>, absent: &str| number.map_or_else(|| absent.to_owned(), |number| number.to_string());
    vec![
        quota.dimension.words().to_owned(),
        number(quota.limit, "no limit"),
        quota.mode.map_or_else(String::new, |mode| mode.as_str().to_owned()),
        quota.source.as_ref().map_or_else(String::new, print::word),
        number(quota.used, "not measured"),
        number(quota.left, ""),
        quota.resets_at.clone().filter(|_| quota.limit.is_some()).unwrap_or_default(),
    ]
}
