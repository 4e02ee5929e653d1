//! The roles of a node.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A part of the work that a process takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    /// Takes webhooks and events.
    Ingest,
    /// Answers the API.
    Api,
    /// Runs the processors of the partitions that fall to it.
    Pipeline,
    /// Does what the clock asks for: fires schedules, and keeps the activity tables in order.
    Scheduler,
    /// Makes rows of the journal of the partitions that fall to it.
    Projector,
}

impl Role {
    /// Every role.
    pub(crate) const ALL: [Role; 5] = [Role::Ingest, Role::Api, Role::Pipeline, Role::Scheduler, Role::Projector];

    /// Its name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Role::Ingest => "ingest",
            Role::Api => "api",
            Role::Pipeline => "pipeline",
            Role::Scheduler => "scheduler",
            Role::Projector => "projector",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| format!("the roles are {names}"))
    }
}
