//! The kinds of resources.

use serde::{Deserialize, Serialize};

/// One list for the type, its texts and [`ResourceKind::ALL`], so that none of them can lack a kind.
macro_rules! resource_kinds {
    ($($(#[$doc:meta])* $kind:ident = $text:literal),* $(,)?) => {
        /// The kinds of resources. The text is what the table holds.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ResourceKind {
            $($(#[$doc])* $kind,)*
        }

        impl ResourceKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The text that the table holds.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

resource_kinds! {
    /// An account; id = its id.
    Account = "account",
    /// A customer; id = its id.
    Customer = "customer",
    /// A workflow; id = its id.
    Workflow = "workflow",
    /// A version of a workflow; id = `<workflow>@<version>`.
    WorkflowVersion = "workflow_version",
    /// A deployment; id = `<workflow>/<environment>`.
    Deployment = "deployment",
    /// A trigger; id = its id, unique over all accounts.
    Trigger = "trigger",
    /// A secret with its versions, sealed; id = its name, or `<customer>/<name>`.
    Secret = "secret",
    /// A configuration value; id = `<environment>/<key>`.
    EnvConfig = "env_config",
    /// An access key, hashed; id = its id.
    AccessKey = "access_key",
    /// The data key of a customer's records in the log, sealed; id = its id.
    LogKey = "log_key",
    /// How long an account's activity is kept; id = `retention`.
    Retention = "retention",
    /// A replay in bulk; id = its id.
    Replay = "replay",
    /// The erasure of a customer; id = its id.
    Erasure = "erasure",
    /// What the platform remembers of a schedule; id = its trigger's.
    ScheduleState = "schedule_state",
    /// A connector app's webhook; id = its id.
    App = "app",
    /// Whether a connector app knows of a trigger; id = the trigger's.
    Subscription = "subscription",
    /// An alert rule; id = its id.
    AlertRule = "alert_rule",
    /// A plan of quotas; id = its id.
    Plan = "plan",
    /// A tier of customers; id = its id.
    CustomerTier = "customer_tier",
    /// Which plan the account has; id = `settings`.
    QuotaSettings = "quota_settings",
}

impl ResourceKind {
    /// Whether its body is a key or sealed under one: nothing of it is kept once it is deleted, and no history of it.
    pub const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::LogKey)
    }

    /// The inverse of [`ResourceKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}
