//! Who may call what: the one table of all operations.
//!
//! The check ([`check`]) reads it before a handler runs, the OpenAPI document and `docs/ACCESS.md` are written from it, and
//! a test calls every operation with every kind of key and compares. What a key that is bound to one customer sees of an
//! operation that it may call is the handler's: everything it reads goes through the caller's `Reach`.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::http::Method;

use super::caller::Caller;
use super::problem::ApiResult;

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Anybody: no key is looked at.
    Anyone,
    /// Whoever passes the verification of the trigger or of the app.
    Sender,
    /// Keys of the account only.
    Account,
    /// Every key; one of a customer sees what the account has for all customers, and what is its own.
    Shared,
    /// Every key; one of a customer sees and changes only what is its own.
    Own,
    /// Every key, for one customer: the one that the key is bound to or that the request names.
    Customer,
}

impl Access {
    /// Every kind, in the order of the document.
    pub const ALL: [Self; 6] = [Self::Anyone, Self::Sender, Self::Account, Self::Shared, Self::Own, Self::Customer];

    /// The word in `x-fastn-access`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Sender => "sender",
            Self::Account => "account",
            Self::Shared => "shared",
            Self::Own => "own",
            Self::Customer => "customer",
        }
    }

    /// What it means, in a sentence.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Anyone => "Needs no key.",
            Self::Sender => {
                "Needs what the verification of the trigger or of the app asks for: a signature, a token, an access key, \
                 or nothing."
            }
            Self::Account => "Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.",
            Self::Shared => {
                "Any key may call it; one of a customer sees what is its own, and what the account has for all customers."
            }
            Self::Own => "Any key may call it; one of a customer sees and changes only what is its own.",
            Self::Customer => {
                "Any key may call it; one of the account names the customer in `x-fastn-account-tenant-id`."
            }
        }
    }
}

/// An operation, who may call it, and what no kind says.
type Row = (&'static str, Access, &'static str);

/// Every operation, in the order of the document.
#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("reference", Access::Anyone, ""),
    ("errorPage", Access::Anyone, ""),
    ("health", Access::Anyone, ""),
    ("metrics", Access::Anyone, "Keep it from the outside where it matters who counts along."),
    ("openapi", Access::Anyone, ""),
    ("readiness", Access::Anyone, ""),
    ("listAlertRules", Access::Own, ""),
    ("getAlertRule", Access::Own, ""),
    ("putAlertRule", Access::Own, "A key of one customer writes rules about its customer."),
    ("deleteAlertRule", Access::Own, ""),
    ("silenceAlertRule", Access::Own, ""),
    ("testAlertRule", Access::Own, ""),
    ("unsilenceAlertRule", Access::Own, ""),
    ("listAlerts", Access::Own, ""),
    ("getAlert", Access::Own, ""),
    ("sendAppEvents", Access::Own, "A key of one customer sends events of its customer."),
    ("listApps", Access::Shared, ""),
    ("receiveAppEvents", Access::Sender, ""),
    ("getApp", Access::Shared, ""),
    ("putApp", Access::Account, ""),
    ("deleteApp", Access::Account, ""),
    ("listCustomerTiers", Access::Shared, ""),
    ("getCustomerTier", Access::Shared, ""),
    ("putCustomerTier", Access::Account, ""),
    ("deleteCustomerTier", Access::Account, ""),
    ("listCustomers", Access::Own, "A key of one customer sees itself."),
    ("getCustomer", Access::Own, ""),
    ("putCustomer", Access::Account, ""),
    ("deleteCustomer", Access::Account, ""),
    ("eraseCustomer", Access::Account, ""),
    ("exportCustomer", Access::Own, ""),
    ("listDeadLetters", Access::Own, ""),
    ("replayDeadLetters", Access::Own, ""),
    ("getDeadLetter", Access::Own, ""),
    ("replayDeadLetter", Access::Own, ""),
    ("listEnvConfigs", Access::Shared, ""),
    ("putEnvConfig", Access::Account, ""),
    ("deleteEnvConfig", Access::Account, ""),
    ("listErasures", Access::Account, ""),
    ("getErasure", Access::Account, ""),
    ("listEvents", Access::Own, ""),
    ("sendEvents", Access::Customer, ""),
    ("getEvent", Access::Own, ""),
    ("replayEvent", Access::Own, ""),
    ("listExecutions", Access::Own, ""),
    ("followExecutions", Access::Own, ""),
    ("getExecution", Access::Own, ""),
    ("cancelExecution", Access::Own, ""),
    ("decideApproval", Access::Own, ""),
    ("replayExecution", Access::Own, ""),
    ("listPlans", Access::Shared, ""),
    ("getPlan", Access::Shared, ""),
    ("putPlan", Access::Account, ""),
    ("deletePlan", Access::Account, ""),
    ("getQuotaSettings", Access::Shared, ""),
    ("putQuotaSettings", Access::Account, ""),
    ("listReplays", Access::Own, ""),
    ("startReplay", Access::Own, ""),
    ("previewReplay", Access::Own, ""),
    ("getReplay", Access::Own, ""),
    ("cancelReplay", Access::Own, ""),
    ("listSchedules", Access::Shared, ""),
    ("getSchedule", Access::Shared, ""),
    ("backfillSchedule", Access::Shared, "A key of one customer makes events for its customer."),
    ("pauseSchedule", Access::Own, ""),
    ("resumeSchedule", Access::Own, ""),
    ("runSchedule", Access::Shared, "A key of one customer makes an event for its customer."),
    ("listSecrets", Access::Shared, "Names and versions; no key reads a value."),
    ("putSecret", Access::Own, ""),
    ("deleteSecret", Access::Own, ""),
    ("getCapturedToken", Access::Own, ""),
    ("getRetention", Access::Shared, ""),
    ("putRetention", Access::Account, ""),
    ("listTriggers", Access::Shared, ""),
    ("createTrigger", Access::Own, "A key of one customer makes no trigger that polls or that listens to an app."),
    ("getTrigger", Access::Shared, ""),
    ("putTrigger", Access::Own, "A key of one customer writes no trigger that polls or that listens to an app."),
    ("deleteTrigger", Access::Own, "A key of one customer deletes no trigger that listens to an app."),
    ("getPolls", Access::Shared, "A key of one customer sees the polls for its customer."),
    ("pollNow", Access::Shared, "A key of one customer asks for the polls for its customer."),
    ("resetPolls", Access::Own, ""),
    ("retrySubscription", Access::Account, ""),
    ("getSubscription", Access::Shared, ""),
    ("listUsage", Access::Own, ""),
    ("getCurrentUsage", Access::Own, ""),
    ("receiveWebhook", Access::Sender, ""),
    ("listWorkflows", Access::Shared, ""),
    ("getWorkflow", Access::Shared, ""),
    ("putWorkflow", Access::Account, ""),
    ("deleteWorkflow", Access::Account, ""),
    ("listDeployments", Access::Shared, ""),
    ("deployVersion", Access::Account, ""),
    ("runWorkflow", Access::Customer, ""),
    ("listVersions", Access::Shared, ""),
    ("publishVersion", Access::Account, ""),
    ("getVersion", Access::Shared, "With its source."),
];

/// Who may call an operation, and what no kind says. One that is not in the table is the account's.
pub fn of(operation: &str) -> (Access, &'static str) {
    let row = TABLE.iter().find(|(id, ..)| *id == operation);
    row.map_or((Access::Account, ""), |(_, access, note)| (*access, note))
}

/// The operations that the table names.
pub fn named() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(id, ..)| *id)
}

/// The id of each operation, by `GET /v1/…`.
static OPERATIONS: LazyLock<HashMap<String, String>> = LazyLock::new(|| {
    let document = super::raw_document();
    let named = |operation: super::openapi::Operation<'_>| {
        (format!("{} {}", operation.method.to_uppercase(), operation.path), operation.id.to_owned())
    };
    super::openapi::operations(&document).map(named).collect()
});

/// The id of the operation that a request calls, if it calls one.
pub(crate) fn operation(method: &Method, route: &str) -> Option<&'static str> {
    // A HEAD is answered by what answers a GET.
    let method = if *method == Method::HEAD { &Method::GET } else { method };
    OPERATIONS.get(&format!("{method} {route}")).map(String::as_str)
}

/// Refuses a caller whose kind of key may not call the operation. What is no operation is refused by the router.
pub(crate) fn check(caller: &Caller, method: &Method, route: &str) -> ApiResult<()> {
    match operation(method, route).map(of) {
        Some((Access::Account, _)) => caller.may_configure(),
        _ => Ok(()),
    }
}

/// The table for people, as Markdown.
pub fn page(document: &serde_json::Value) -> String {
    let mut text = include_str!("access/head.md").to_owned();
    text.push_str("\n| kind | who may call |\n|---|---|\n");
    for access in Access::ALL {
        text.push_str(&format!("| `{}` | {} |\n", access.as_str(), access.sentence()));
    }
    for tag in document["tags"].as_array().into_iter().flatten() {
        let tag = tag["name"].as_str().unwrap_or_default();
        text.push_str(&format!("\n## {tag}\n\n| operation | | who | |\n|---|---|---|---|\n"));
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                if operation["tags"][0] == tag {
                    let id = operation["operationId"].as_str().unwrap_or_default();
                    let (access, note) = of(id);
                    let method = method.to_uppercase();
                    text.push_str(&format!("| `{id}` | `{method} {path}` | `{}` | {note} |\n", access.as_str()));
                }
            }
        }
    }
    text
}
