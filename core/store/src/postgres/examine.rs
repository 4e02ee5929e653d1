//! What is wrong with a PostgreSQL that can't be used, in words.

use std::time::{SystemTime, UNIX_EPOCH};

use sqlx::Connection as _;

use super::connect::{Facts, Serves, VERSION_MIN, connect_once, parse};
use super::migrate::newest_known;
use super::options::PostgresOptions;
use crate::seam::{StoreError, StoreErrorKind};

/// More difference than this between the clocks shows in lists and expiries.
const CLOCK_SKEW_MAX_MS: i64 = 2_000;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it must be.
    pub ok: bool,
    /// What was looked at, and what was found.
    pub what: String,
    /// What to do; empty when all is well.
    pub advice: String,
}

impl Finding {
    fn of(ok: bool, what: String, advice: &str) -> Self {
        Self { ok, what, advice: if ok { String::new() } else { advice.to_owned() } }
    }
}

/// Looks at the server, its roles and its schema as a node would use them. Changes nothing.
pub async fn examine(options: &PostgresOptions) -> Vec<Finding> {
    let mut findings = examine_role(options, &options.url, Serves::Application).await;
    if let Some(url) = &options.projector_url {
        findings.extend(examine_role(options, url, Serves::Projector).await);
    }
    findings
}

async fn examine_role(options: &PostgresOptions, url: &str, serves: Serves) -> Vec<Finding> {
    let who = match serves {
        Serves::Projector => "PostgreSQL as the projector",
        _ => "PostgreSQL as the application",
    };
    let way = match parse(url, serves, options) {
        Ok(way) => way,
        Err(error) => return vec![Finding::of(false, format!("{who}: {}", error.message), "correct the URL")],
    };
    let place = format!("{who} at {}:{}", way.get_host(), way.get_port());
    let mut connection = match connect_once(&way, &place).await {
        Ok(connection) => connection,
        Err(error) => return vec![unreachable(&place, way.get_username(), &error)],
    };
    let facts = Facts::read(&mut connection).await;
    // Nothing is lost with a connection that does not close well.
    drop(connection.close().await);
    match facts {
        Ok(facts) => judge(&place, serves, &facts),
        Err(error) => vec![Finding::of(false, format!("{place}: it can't be looked at: {error}"), "see its log")],
    }
}

fn unreachable(place: &str, role: &str, error: &StoreError) -> Finding {
    let answer = error.source.as_deref().and_then(|source| source.downcast_ref::<sqlx::Error>());
    let code = answer.and_then(|answer| answer.as_database_error()).and_then(|answer| answer.code());
    match code.as_deref() {
        Some("28000" | "28P01") => Finding::of(
            false,
            format!("{place}: it refused the role {role} or its password"),
            "check user and password of the URL, pg_hba.conf, and that `fastn migrate` has made the role",
        ),
        Some("3D000") => {
            Finding::of(false, format!("{place}: the database does not exist"), "make it, then run `fastn migrate`")
        }
        Some("53300") => Finding::of(
            false,
            format!("{place}: it has no connection left"),
            "raise max_connections, or lower the pools of the nodes",
        ),
        Some("57P03") => Finding::of(false, format!("{place}: it is starting or stopping"), "wait, then try again"),
        _ if error.kind == StoreErrorKind::Unavailable => {
            Finding::of(false, format!("{place}: it can't be reached"), "is it running, and is the way to it open?")
        }
        _ => Finding::of(false, format!("{place}: no connection: {}", error.message), "check the URL, and TLS"),
    }
}

fn judge(place: &str, serves: Serves, facts: &Facts) -> Vec<Finding> {
    let known = newest_known();
    let schema = facts.schema.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
    let schema_advice = match facts.schema {
        Some(version) if version > known => "a newer program has migrated it; run that one here too",
        _ => "run `fastn migrate`",
    };
    let may = if serves == Serves::Projector { facts.may_project } else { facts.may_serve };
    let skew_ms = (facts.now - now_us()) / 1_000;
    let role = if facts.can_bypass || facts.can_own {
        facts.bypass_message()
    } else {
        format!("its role {} is bound by row-level security", facts.role)
    };
    let version = format!("{place}: it is version {}", facts.version);
    vec![
        Finding::of(facts.version >= VERSION_MIN, version, "PostgreSQL 15 or newer is needed"),
        Finding::of(
            !(facts.can_bypass || facts.can_own),
            format!("{place}: {role}"),
            "connect as the role that `fastn migrate` makes, which owns nothing",
        ),
        Finding::of(
            facts.schema == Some(known),
            format!("{place}: its schema has {schema}, this program needs version {known}"),
            schema_advice,
        ),
        Finding::of(
            may,
            format!("{place}: its role {} {} the rights it needs", facts.role, if may { "has" } else { "lacks" }),
            "run `fastn migrate`, which grants them",
        ),
        Finding::of(
            !facts.read_only,
            format!("{place}: it {} be written", if facts.read_only { "can't" } else { "can" }),
            "it is a standby or read-only; name the primary",
        ),
        Finding::of(
            skew_ms.abs() <= CLOCK_SKEW_MAX_MS,
            format!("{place}: its clock differs by {skew_ms} ms"),
            "synchronise the clocks of the nodes and of PostgreSQL (NTP)",
        ),
    ]
}

fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
