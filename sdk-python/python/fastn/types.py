"""What is sent, as dictionaries with the names of the wire, and the values of enumerations.

Derived by `generate.py`: do not edit.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, List, Literal, TypedDict, Union

if sys.version_info >= (3, 11):
    from typing import Required
elif TYPE_CHECKING:
    from typing_extensions import Required

AlertChannelEmail = TypedDict(
    "AlertChannelEmail",
    {
        "from": "Required[str]",
        "secret": "Required[str]",
        "to": "Required[list[str]]",
        "type": "Required[Literal['email']]",
    },
    total=False,
)
"""A mail."""

class AlertChannelSlack(TypedDict, total=False):
    """A message to an incoming webhook of Slack, or of whatever takes the same."""

    secret: Required[str]
    """Name of the secret that holds the URL, which is all that protects it."""
    type: Required[Literal["slack"]]
    """Always `slack`."""


class AlertChannelWebhook(TypedDict, total=False):
    """A POST of an `AlertNotice` with a signature after Standard Webhooks."""

    secret: Required[str]
    """Name of the secret that holds the `whsec_…` key."""
    type: Required[Literal["webhook"]]
    """Always `webhook`."""
    url: Required[str]
    """Where to."""


AlertComparison = Literal[
    "above",
    "below",
]
"""Which side of the threshold is bad."""

AlertMetric = Literal[
    "error_rate",
    "latency_p99",
    "latency_p95",
    "latency_avg",
    "throughput",
    "failure_count",
    "dead_letter_depth",
    "lag",
    "quota_use",
]
"""What a rule measures."""

class AlertRule(TypedDict, total=False):
    """What is watched, when it is too much or too little, and who is told.

    A new rule is paused, has no channels, and watches for an error rate above 5 % over 24 hours.
    """

    channels: list[AlertChannel]
    """Who is told when it fires and when it is resolved."""
    comparison: AlertComparison
    """Which side of the threshold is bad."""
    connector: str | None
    """Only outside calls to this host, e.g. `api.github.com`, or of the connector with this slug. The rule then counts
    calls, not executions.
    """
    customer: str | None
    """Only what concerns this customer; every customer of the account together when absent."""
    description: str
    """What to do when it fires, for whoever is told."""
    dimension: Dimension | None
    """Of quota use: which quota. Events per day or minute, workflows, or triggers."""
    hold: str | timedelta
    """For how long it must be bad before the rule fires, e.g. `5m`; `0s` fires at once."""
    id: Required[str]
    """Stable id."""
    metric: AlertMetric
    """What is measured."""
    minSamples: int
    """Rates and latencies of fewer executions or calls than this mean nothing: the rule does not fire on them."""
    name: str
    """Name for people."""
    resolveAfter: str | timedelta
    """For how long it must be good before the rule is resolved."""
    resolveThreshold: float | None
    """The value at which it is good again; the threshold itself when absent. A distance between the two keeps a value that
    moves around the threshold from firing again and again.
    """
    silencedUntil: str | datetime | None
    """Nobody is told before this instant. It is evaluated all the same, and if it still fires then, its channels are told."""
    status: AlertStatus
    """Whether it is evaluated."""
    threshold: float
    """In the metric's unit: percent, milliseconds, or a number."""
    window: str | timedelta
    """How far back is counted, from `1m` to `30d`. Depth, lag and quota use are as they are now."""
    workflow: str | None
    """Only executions of this workflow."""


AlertState = Literal[
    "firing",
    "silenced",
    "resolved",
]
"""Where an alert stands."""

AlertStatus = Literal[
    "enabled",
    "paused",
]
"""Whether a rule is evaluated."""

class App(TypedDict, total=False):
    """A connector app that sends the events of all its accounts to one URL, `/v1/apps/<endpoint>/events`."""

    challenge: Challenge | None
    """A handshake that the app asks for, beside the one of its scheme."""
    description: str
    """What it is."""
    endpoint: str | None
    """The part of the public URL that stands for it. A new random one when it is absent and the app is new; it stays as
    it is when it is absent later.
    """
    eventKey: str | None
    """Path of the event's id in a payload, e.g. `subscriptionType`. A payload that is an array holds one event in each
    element. Without it, every trigger of the app hears every payload.
    """
    events: list[AppEvent]
    """The events that it sends. A payload that names another one starts nothing."""
    id: Required[str]
    """Stable id, by which triggers name it, e.g. `hubspot`."""
    mappedTo: str | None
    """Path in a payload of the account that it is about, e.g. `portalId`: it goes to the triggers with this `accountId`,
    and a payload without it goes nowhere. Without `mappedTo` a payload goes to the triggers of all accounts.
    """
    name: str
    """Name for people."""
    status: Switch
    """Whether its URL takes anything."""
    subscription: Subscription | None
    """How a trigger of this app is made known to the app; not at all when absent."""
    verification: Verification
    """How the app proves itself. Its secrets are the account's own."""


class AppEvent(TypedDict, total=False):
    """An event that an app sends."""

    description: str
    """What it tells."""
    id: Required[str]
    """As the payload names it, e.g. `contact.creation`."""
    label: str
    """Name for people."""
    payloadSchema: Any
    """JSON Schema of its payload, for people and editors; payloads are not checked against it."""


class AutoDisable(TypedDict, total=False):
    """When failures in a row switch a schedule off."""

    cooldownMinutes: int
    """After so many minutes it is switched on again, and off again by the next failure; 0 leaves it to a person. At most
    43,200 (30 days).
    """
    failures: int
    """Failed fires in a row, 1 to 1,000; 0 never switches it off."""


BackfillSchedule = TypedDict(
    "BackfillSchedule",
    {
        "dryRun": "bool",
        "from": "Required[str | datetime]",
        "to": "Required[str | datetime]",
    },
    total=False,
)
"""Which scheduled times to make up for."""

Backoff = Literal[
    "exponential",
    "linear",
    "fixed",
]
"""How the wait grows from one attempt to the next."""

class BatchWindow(TypedDict, total=False):
    """One execution for many events: its input is the array of their payloads, in order."""

    key: str | None
    """A batch for each value of this path."""
    maxSize: Required[int]
    """It starts with so many events, 1 to 1,000."""
    maxWaitMs: Required[int]
    """Or so many milliseconds after the first, at most a day."""


class CatchUpAll(TypedDict, total=False):
    """All of them are, as far as they are not older than the window."""

    policy: Required[Literal["all"]]
    """Always `all`."""
    windowMinutes: int
    """1 to 1,380 minutes (23 hours)."""


class CatchUpLast(TypedDict, total=False):
    """The last of them is made up for, however many there were."""

    policy: Required[Literal["last"]]
    """Always `last`."""


class CatchUpNone(TypedDict, total=False):
    """They are left out."""

    policy: Required[Literal["none"]]
    """Always `none`."""


Challenge = TypedDict(
    "Challenge",
    {
        "answer": "ChallengeAnswer",
        "answerField": "str | None",
        "field": "Required[str]",
        "in": "Required[ChallengeIn]",
        "when": "ChallengeWhen | None",
    },
    total=False,
)
"""A handshake: the sender asks whether the URL waits for it by a challenge, which is given back."""

ChallengeAnswer = Literal[
    "text",
    "json",
]
"""How a challenge is given back."""

ChallengeIn = Literal[
    "query",
    "body",
]
"""Where a challenge stands."""

class ChallengeWhen(TypedDict, total=False):
    """What else a handshake has, in the same place as the challenge."""

    field: Required[str]
    """The parameter of the query, or the path in the body, e.g. `type`."""
    value: Required[str]
    """The text that stands there, e.g. `url_verification`."""


class ChangeStatus(TypedDict, total=False):
    """Why a schedule is paused or resumed."""

    reason: str
    """For the status history; at most 500 characters."""


class CompareExcept(TypedDict, total=False):
    """All but these fields."""

    fields: Required[list[str]]
    """1 to 100 paths."""
    what: Required[Literal["except"]]
    """Always `except`."""


class CompareFields(TypedDict, total=False):
    """Only these fields."""

    fields: Required[list[str]]
    """1 to 100 paths."""
    what: Required[Literal["fields"]]
    """Always `fields`."""


class CompareRecord(TypedDict, total=False):
    """All of it."""

    what: Required[Literal["record"]]
    """Always `record`."""


class Comparison(TypedDict, total=False):
    """One comparison of a condition."""

    op: Required[Operator]
    """How to compare."""
    path: Required[str]
    """A dotted and indexed path into the payload, e.g. `data.items[0].id`. `$type`, `$source`, `$subject` and
    `$headers.<name>` read the event's attributes instead.
    """
    value: Any
    """With what."""


class Concurrency(TypedDict, total=False):
    """Most executions between their start and their end, waits included."""

    key: str | None
    """So many for each value of this path."""
    limit: Required[int]
    """Most at once, at least 1."""


class ConditionAll(TypedDict, total=False):
    """All of them hold. An empty list holds."""

    all: Required[list[Condition]]
    """The parts."""


class ConditionAny(TypedDict, total=False):
    """At least one of them holds. An empty list does not."""

    any: Required[list[Condition]]
    """The parts."""


ConditionNot = TypedDict(
    "ConditionNot",
    {
        "not": "Required[Condition]",
    },
    total=False,
)
"""The part does not hold."""

CursorOf = Literal[
    "records",
    "answer",
]
"""In what a cursor's path is."""

class Customer(TypedDict, total=False):
    """A customer (tenant) of the account."""

    concurrency: int | None
    """Most executions that run at once; the others wait in the customer's queue."""
    encryptLog: bool
    """Seal the payloads of its records in the log under a data key of its own: event data and headers, inputs, results,
    outputs, state. Erasing the customer then makes them unreadable at once, in backups too; until then they are
    unreadable to whoever consumes the topics beside fastn.
    """
    id: Required[str]
    """Stable id; the SaaS's own is welcome. Letters, digits and `-_.:@`."""
    name: str
    """Name for people."""
    quotas: Quotas
    """Limits of its own, which go before those of its tier and of the account's plan."""
    region: Region | None
    """Where its events, executions and secrets are kept; the cell that was asked when absent. Every other cell answers
    requests for it with 421 and the base URL of its own.
    """
    status: CustomerStatus
    """Whether its events start executions."""
    tier: str | None
    """The tier that it is on."""
    weight: int | None
    """Share in the fair queue beside other customers; that of its tier when absent, and 1 without one."""


CustomerStatus = Literal[
    "active",
    "suspended",
]
"""Whether a customer's events start executions."""

class CustomerTier(TypedDict, total=False):
    """A tier of customers: limits that go before the plan's, and a share in the fair queue."""

    id: Required[str]
    """Stable id."""
    name: str
    """Name for people."""
    quotas: Quotas
    """Its limits."""
    weight: int | None
    """Share in the fair queue of a customer that names none itself."""


DeadLetterStatus = Literal[
    "pending",
    "replayed",
    "expired",
]
"""What became of a dead letter."""

class Debounce(TypedDict, total=False):
    """The newest event wins: its execution starts once no other came for a period."""

    key: str | None
    """By each value of this path."""
    maxWaitMs: int | None
    """Most milliseconds since the first event, however many follow; no end when absent."""
    periodMs: Required[int]
    """Milliseconds without another event, at most a day."""


class Decision(TypedDict, total=False):
    """A decision on an approval that an execution waits for."""

    approved: Required[bool]
    """Whether it is granted."""
    by: str | None
    """Who decided."""
    comment: str | None
    """A remark for the workflow."""
    step: Required[str]
    """The key of the approval step, e.g. `approval`."""


class DeployVersion(TypedDict, total=False):
    """Which version is to run in an environment."""

    version: Required[int]
    """A published version."""


Dimension = Literal[
    "eventsPerDay",
    "eventsPerMinute",
    "apiCallsPerDay",
    "apiCallsPerMinute",
    "concurrentExecutions",
    "stepsPerExecution",
    "payloadBytes",
    "workflows",
    "triggers",
]
"""What is limited."""

Enforcement = Literal[
    "hard",
    "soft",
    "queue",
    "shadow",
]
"""What happens beyond a limit."""

class EnvConfig(TypedDict, total=False):
    """A configuration value that workflows read with `fastn.envConfig.get`."""

    environment: str
    """The environment it holds in."""
    key: Required[str]
    """The key."""
    value: Required[Any]
    """The value."""


ErasureStatus = Literal[
    "running",
    "done",
]
"""Where an erasure stands."""

EventStatus = Literal[
    "delivered",
    "duplicate",
    "unmatched",
    "rejected",
]
"""What admission made of an event."""

ExecutionMode = Literal[
    "parallel",
    "sequential",
]
"""Whether several executions of a trigger may run at once."""

ExecutionStatus = Literal[
    "queued",
    "running",
    "waiting",
    "completed",
    "failed",
    "timeout",
    "cancelled",
]
"""Where an execution stands."""

class FlowControl(TypedDict, total=False):
    """What holds executions back. Everything that is set holds. Each part may have a `key`: the path of a value in the payload,
    e.g. `order.customer`; then it holds for each value by itself. A customer never waits for another.
    """

    batch: BatchWindow | None
    """One execution for many events. Of triggers only."""
    concurrency: Concurrency | None
    """Most executions at once; the others wait."""
    debounce: Debounce | None
    """Wait until the events pause, and run the newest only. Of triggers only."""
    priority: Priority | None
    """The place in the customer's queue; by what started it when absent."""
    rate: Rate | None
    """Most starts in a period; the others wait for a later period."""
    singleton: Singleton | None
    """One execution at a time, and what becomes of another."""


HmacAlgorithm = Literal[
    "sha1",
    "sha256",
    "sha512",
]
"""The hash of an HMAC."""

HubspotVersion = Literal[
    "v1",
    "v2",
    "v3",
]
"""Which of HubSpot's three signatures."""

class Incremental(TypedDict, total=False):
    """Where the value for `{{cursor}}` comes from that makes a poll go on where the one before ended."""

    of: CursorOf
    """In what the path is."""
    path: Required[str]
    """Path of the value: of records the greatest is kept, of answers that of the last page."""
    start: str
    """The value for the first poll; empty when absent."""


Initial = Literal[
    "baseline",
    "emit",
]
"""What the first listing does."""

class Limit(TypedDict, total=False):
    """A limit of one dimension."""

    limit: Required[int]
    """The most that is within the limit."""
    mode: Enforcement | None
    """What happens beyond it; hard when absent, and for concurrent executions queue."""


Measure = Literal[
    "events",
    "events_blocked",
    "events_over",
    "executions",
    "steps",
    "api_calls",
]
"""What is counted for each customer and day."""

Operator = Literal[
    "eq",
    "neq",
    "gt",
    "lt",
    "in",
    "contains",
    "exists",
]
"""A comparison of one value of the event with a constant."""

Origin = Literal[
    "webhook",
    "api",
    "manual",
    "schedule",
    "polling",
    "workflow",
    "command",
]
"""Where an event came from."""

Overlap = Literal[
    "allow",
    "skip",
    "queue",
    "cancel_older",
]
"""What becomes of a fire while a run of an earlier one has not ended. Each customer by itself."""

class PagingCursor(TypedDict, total=False):
    """`{{page}}` is what the answer before says; empty for the first page. The listing ends when an answer says nothing."""

    mode: Required[Literal["cursor"]]
    """Always `cursor`."""
    path: Required[str]
    """Path in an answer of what stands for the next page."""


class PagingLink(TypedDict, total=False):
    """An answer says the URL of the next page, at the same host."""

    mode: Required[Literal["link"]]
    """Always `link`."""
    path: str | None
    """Path in an answer of that URL; the header `Link` with `rel="next"` when absent."""


class PagingNone(TypedDict, total=False):
    """One answer holds everything."""

    mode: Required[Literal["none"]]
    """Always `none`."""


class PagingPage(TypedDict, total=False):
    """`{{page}}` is a number that grows until a page has no records: a page's number, or an offset."""

    first: int
    """The first."""
    mode: Required[Literal["page"]]
    """Always `page`."""
    step: int
    """What is added for each next page: 1 for numbers of pages, the size of a page for offsets."""


class Plan(TypedDict, total=False):
    """A plan: what holds for every customer of an account that has it. `free` and `unlimited` are there from the start."""

    id: Required[str]
    """Stable id."""
    name: str
    """Name for people."""
    quotas: Quotas
    """Its limits."""


class PollInterval(TypedDict, total=False):
    """How often a source is polled: the interval grows while nothing changes, and shrinks when something does."""

    maxSeconds: int
    """The longest, in seconds: not below the shortest, and at most 86,400."""
    minSeconds: int
    """The shortest, in seconds: 5 to 86,400."""


PollOutcome = Literal[
    "baseline",
    "unchanged",
    "changed",
    "rate_limited",
    "failed",
]
"""How a poll ended."""

class PollRequest(TypedDict, total=False):
    """An HTTP request with places to fill: `{{page}}`, `{{cursor}}`, `{{customer}}`, `{{trigger}}` and `{{secret.NAME}}`. A
    secret of the customer goes before one of the account.
    """

    body: Any
    """The body: JSON, in whose texts places are filled. A text alone is sent as it is."""
    headers: dict[str, str]
    """The headers."""
    method: Literal["GET", "POST"]
    """The method."""
    url: Required[str]
    """The URL. What is filled in is percent-encoded; a parameter of the query that is filled with nothing is left out."""


Priority = Literal[
    "P1",
    "P2",
    "P3",
    "P4",
]
"""The lanes of a customer's queue. What has begun goes before them all."""

class PublishVersion(TypedDict, total=False):
    """The code of a workflow, to be published as its next version."""

    file: str | None
    """The file that errors name, e.g. `workflows/triage.ts`; `<workflow>.ts` when absent."""
    source: Required[str]
    """The TypeScript."""


QuotaOutcome = Literal[
    "blocked",
    "over",
    "queued",
    "shadowed",
]
"""What a quota did to an event."""

class QuotaSettings(TypedDict, total=False):
    """Which plan the account has."""

    plan: Required[str]
    """The plan's id; `unlimited` until somebody chooses another."""


QuotaSource = Literal[
    "customer",
    "tier",
    "plan",
]
"""Where a limit comes from."""

class Quotas(TypedDict, total=False):
    """Limits by dimension. What is absent is not limited here; a wider source may limit it."""

    apiCallsPerDay: Limit | None
    """Requests to the API in a day of UTC."""
    apiCallsPerMinute: Limit | None
    """Requests to the API in a minute."""
    concurrentExecutions: Limit | None
    """Executions that run at once."""
    eventsPerDay: Limit | None
    """Events admitted in a day of UTC."""
    eventsPerMinute: Limit | None
    """Events admitted in a minute."""
    payloadBytes: Limit | None
    """Bytes of the payload of one event or run."""
    stepsPerExecution: Limit | None
    """Durable calls of one execution."""
    triggers: Limit | None
    """Triggers that belong to the customer."""
    workflows: Limit | None
    """Workflows that the customer's triggers name."""


class Rate(TypedDict, total=False):
    """Most starts in a period. Periods are counted from 1970-01-01 UTC."""

    key: str | None
    """So many for each value of this path."""
    limit: Required[int]
    """Most starts in one period, at least 1."""
    periodMs: Required[int]
    """Milliseconds of the period, at most a day."""


Region = Literal[
    "US",
    "EU",
    "APAC",
]
"""A region of residency. Each has cells of its own."""

ReplayDeadLetters = TypedDict(
    "ReplayDeadLetters",
    {
        "from": "ReplayFrom",
        "ids": "list[str] | None",
        "limit": "int | None",
        "version": "int | None",
        "workflow": "str | None",
    },
    total=False,
)
"""A replay of many dead letters: those named, or those that wait, newest first."""

ReplayExecution = TypedDict(
    "ReplayExecution",
    {
        "from": "ReplayFrom",
        "version": "int | None",
    },
    total=False,
)
"""A replay of one finished execution, as a new execution."""

ReplayFrom = Literal[
    "start",
    "failed_step",
]
"""From where an execution is replayed."""

class ReplaySelectionDeadLetters(TypedDict, total=False):
    """Dead letters."""

    customer: str | None
    """Only of this customer."""
    errorCode: str | None
    """Only those whose error has this code."""
    errorName: str | None
    """Only those whose error has this class, e.g. `TypeError`."""
    errorStep: str | None
    """Only those that failed in this step."""
    ids: list[str] | None
    """These."""
    of: Required[Literal["dead_letters"]]
    """Always `dead_letters`."""
    since: str | datetime | None
    """Put there at or after, RFC 3339."""
    status: DeadLetterStatus | None
    """Only those that stand here; those that are pending when absent."""
    until: str | datetime | None
    """Put there before, RFC 3339."""
    workflow: str | None
    """Only of this workflow."""


class ReplaySelectionEvents(TypedDict, total=False):
    """Events, as if they came again under today's triggers."""

    customer: str | None
    """Only of this customer."""
    ids: list[str] | None
    """These."""
    of: Required[Literal["events"]]
    """Always `events`."""
    quota: QuotaOutcome | None
    """Only those that a quota did this to: `blocked` once the limit is raised."""
    since: str | datetime | None
    """Received at or after, RFC 3339."""
    status: EventStatus | None
    """Only those of which admission made this; those rejected or unmatched when absent."""
    trigger: str | None
    """Only of this webhook trigger."""
    type: str | None
    """Only of this CloudEvents type."""
    until: str | datetime | None
    """Received before, RFC 3339."""


class ReplaySelectionExecutions(TypedDict, total=False):
    """Executions that have ended."""

    customer: str | None
    """Only of this customer."""
    errorCode: str | None
    """Only those whose error has this code."""
    errorName: str | None
    """Only those whose error has this class, e.g. `TypeError`."""
    errorStep: str | None
    """Only those that failed in this step."""
    ids: list[str] | None
    """These."""
    of: Required[Literal["executions"]]
    """Always `executions`."""
    since: str | datetime | None
    """Admitted at or after, RFC 3339."""
    status: ExecutionStatus | None
    """Only those that ended so."""
    trigger: str | None
    """Only of this trigger."""
    until: str | datetime | None
    """Admitted before, RFC 3339."""
    version: int | None
    """Only those that ran this version."""
    workflow: str | None
    """Only of this workflow."""


ReplayStatus = Literal[
    "counting",
    "starting",
    "settling",
    "completed",
    "cancelled",
]
"""Where a replay stands."""

class RequestTemplate(TypedDict, total=False):
    """An HTTP request with places to fill: `{{app}}`, `{{event}}`, `{{accountId}}`, `{{customer}}`, `{{trigger}}`,
    `{{webhookUrl}}`, `{{subscriptionId}}` and `{{secret.NAME}}`.
    """

    body: Any
    """The body: JSON, in whose texts places are filled. A text alone is sent as it is."""
    headers: dict[str, str]
    """The headers."""
    method: str
    """The method."""
    url: Required[str]
    """The URL. What is filled in is percent-encoded."""


class RetentionSettings(TypedDict, total=False):
    """How long the activity of an account is kept. Counted from the event's arrival and the execution's admission."""

    activityDays: int
    """Days after which events, ended executions and their dead letters are deleted."""
    payloadDays: int | None
    """Days after which payloads are blanked: event data and headers, inputs, outputs, results, log lines. As long as the
    activity when absent.
    """


class RetryPolicy(TypedDict, total=False):
    """Retry of transient failures. Code errors, data errors and out-of-memory are never retried."""

    backoffCoefficient: float
    """Factor from one wait to the next."""
    initialInterval: int
    """Milliseconds before the second attempt."""
    maxAttempts: int
    """1 to 10, the first included."""
    maxInterval: int
    """Most milliseconds between two attempts."""


class Route(TypedDict, total=False):
    """One way that a trigger's events take."""

    environment: str
    """The environment whose deployed version runs; `test` runs the latest published one."""
    filter: Condition | None
    """Only events for which this holds; all when absent."""
    headers: dict[str, str]
    """Headers added to those that the workflow sees."""
    workflow: Required[str]
    """The workflow that runs."""


class RunWorkflow(TypedDict, total=False):
    """A run of a workflow."""

    environment: str | None
    """The environment; `test` when absent."""
    input: Any
    """Becomes `ctx.input`."""


class SecretWrite(TypedDict, total=False):
    """A secret as it is written. It is encrypted at rest and never read back through the API."""

    customer: str | None
    """The one customer it belongs to; absent for the whole account."""
    name: Required[str]
    """UPPER_SNAKE_CASE."""
    value: Required[str]
    """The value."""


class SendAppEvent(TypedDict, total=False):
    """An app event that a SaaS backend sends in the app's place."""

    accountId: str | None
    """The account at the app that it is about: it goes to the triggers with this `accountId`, whosever they are unless a
    customer is named.
    """
    app: Required[str]
    """The app."""
    customer: str | None
    """The customer that it is for; the one of the customer header or the key when absent."""
    data: Any
    """The payload; becomes `ctx.input`."""
    event: Required[str]
    """One of its events."""
    id: str | None
    """The same id within the window is admitted once. Made of the idempotency key when absent, else new."""
    priority: Priority | None
    """The place of its executions in the customer's queue, before what the trigger or the workflow says."""
    time: str | datetime | None
    """When it happened, RFC 3339; now when absent."""


class SendEvent(TypedDict, total=False):
    """An event to send."""

    data: Any
    """The payload."""
    id: str | None
    """Unique per source; the same id within the window is admitted once. Ours when absent."""
    priority: Priority | None
    """The place of its executions in the customer's queue, before what the trigger or the workflow says."""
    source: str | None
    """Where it comes from; `api` when absent."""
    subject: str | None
    """What it is about."""
    time: str | datetime | None
    """When it happened, RFC 3339; now when absent."""
    type: Required[str]
    """The type, e.g. `order.created`."""


SignatureEncoding = Literal[
    "hex",
    "base64",
]
"""How a signature is written."""

class SilenceAlert(TypedDict, total=False):
    """Asks for silence."""

    duration: Required[str | timedelta]
    """For how long, e.g. `2h`, at most `90d`."""


class Singleton(TypedDict, total=False):
    """One execution at a time, from its admission to its end."""

    key: str | None
    """One for each value of this path; one for all when absent."""
    mode: Required[SingletonMode]
    """What becomes of an event while one has not ended."""


SingletonMode = Literal[
    "skip",
    "cancel",
    "queue",
]
"""What becomes of an event while a singleton's execution has not ended."""

StartReplay = TypedDict(
    "StartReplay",
    {
        "from": "ReplayFrom",
        "limit": "int | None",
        "ratePerSecond": "int | None",
        "select": "Required[ReplaySelection]",
        "version": "int | None",
    },
    total=False,
)
"""A replay to preview or to start."""

class Subscription(TypedDict, total=False):
    """The requests that make a trigger known to its app."""

    idPath: str | None
    """Path in the answer to `subscribe` of the subscription's id, for `{{subscriptionId}}` in `unsubscribe`."""
    subscribe: Required[RequestTemplate]
    """Made when a trigger is created or its event or account is changed."""
    unsubscribe: RequestTemplate | None
    """Made before a trigger is deleted, and for the old event or account before a change."""


SubscriptionState = Literal[
    "subscribed",
    "failed",
    "not_subscribed",
]
"""Whether the app knows of a trigger."""

Switch = Literal[
    "enabled",
    "disabled",
]
"""Whether a workflow takes new runs."""

Tier = Literal[
    "instant",
    "standard",
    "long",
]
"""How a workflow answers and how long it may take."""

class Trigger(TypedDict, total=False):
    """What starts workflows."""

    backoff: Backoff
    """How the wait grows from one attempt to the next."""
    customer: str | None
    """The one customer it belongs to; absent for one that serves every customer of the account."""
    deduplicationKey: str | None
    """Path of the value by which events are duplicates of each other, e.g. `data.event.id`. The event id counts anyway."""
    description: str
    """What it does."""
    flow: FlowControl | None
    """What holds its executions back."""
    id: str
    """Stable id; for a webhook it is part of the public URL. A new random one when it is absent and the trigger is posted."""
    maxAttempts: int
    """Attempts of an execution whose failure is transient, the first included: 1 to 10."""
    mode: ExecutionMode
    """Whether several of its executions may run at once."""
    name: str
    """Name for people."""
    routes: Required[list[Route]]
    """Where its events go; at least one."""
    sequenceKey: str | None
    """Path of the value that orders sequential executions; one queue for the whole trigger when absent."""
    source: Required[TriggerSource]
    """What it listens to."""
    status: Switch
    """Whether it fires."""


class TriggerSourceAppEvent(TypedDict, total=False):
    """Events of a connector app for one customer, with that customer's account at the app."""

    accountId: str | None
    """The customer's account at the app: only events of this account come here. Required where the app says in its
    events whose they are.
    """
    app: Required[str]
    """The app; it cannot be changed."""
    event: Required[str]
    """One of the app's events."""
    type: Required[Literal["appEvent"]]
    """Always `appEvent`."""


class TriggerSourceEvent(TypedDict, total=False):
    """Events sent through the API whose type is one of these; `*` at the end stands for any rest."""

    type: Required[Literal["event"]]
    """Always `event`."""
    types: Required[list[str]]
    """The types, e.g. `order.created` or `order.*`."""


class TriggerSourcePoll(TypedDict, total=False):
    """Changes at a source that is polled."""

    compare: Compare
    """What of a record is compared."""
    detectDeletes: bool
    """Whether a record that a complete listing no longer has was deleted."""
    entity: Required[str]
    """What a record is, e.g. `contact`; the first part of the events' types."""
    incremental: Incremental | None
    """Ask only for what is newer than the poll before. Then deletions are not seen."""
    initial: Initial
    """What the first listing does."""
    interval: PollInterval
    """How often."""
    key: Required[str]
    """Path in a record of what tells it from others, e.g. `id`: a text or a number."""
    paging: Paging
    """How the next page is asked for."""
    records: str
    """Path in an answer of the array of records, e.g. `data.items`; the answer itself when empty."""
    request: Required[PollRequest]
    """The request for a page of records."""
    type: Required[Literal["poll"]]
    """Always `poll`."""


class TriggerSourceSchedule(TypedDict, total=False):
    """The clock."""

    autoDisable: AutoDisable
    """When failures switch it off."""
    catchUp: CatchUp
    """What becomes of fires that no node was there to make."""
    delayMinutes: int
    """Each fire is put off by so many minutes: 0 to 1,440."""
    endsAt: str | datetime | None
    """RFC 3339; it does not fire at this instant or later."""
    jitterSeconds: int
    """Each fire is put off by up to so many seconds, always the same for the same fire: 0 to 3,600."""
    overlap: Overlap
    """What becomes of a fire while a run of an earlier one has not ended."""
    payload: Any
    """Becomes `ctx.input`; an empty object when absent."""
    runImmediately: bool
    """Fire once when the trigger is created, beside the times of `when`."""
    startsAt: str | datetime | None
    """RFC 3339; it does not fire before. An interval is counted from here."""
    timezone: Required[str]
    """An IANA time zone, e.g. `Europe/Berlin`."""
    type: Required[Literal["schedule"]]
    """Always `schedule`."""
    when: Required[When]
    """When it fires."""


class TriggerSourceWebhook(TypedDict, total=False):
    """Requests to `/v1/webhooks/<trigger id>`."""

    challenge: Challenge | None
    """A handshake that the sender asks for, beside the one of its scheme."""
    type: Required[Literal["webhook"]]
    """Always `webhook`."""
    verification: Verification
    """How the sender proves itself."""


Unit = Literal[
    "minutes",
    "hours",
    "days",
]
"""What an interval counts."""

class VerificationAccessKey(TypedDict, total=False):
    """With an access key of the account in `x-fastn-access-key`."""

    scheme: Required[Literal["accessKey"]]
    """Always `accessKey`."""


class VerificationBasic(TypedDict, total=False):
    """HTTP Basic."""

    scheme: Required[Literal["basic"]]
    """Always `basic`."""
    secret: Required[SecretNames]
    """The password."""
    username: Required[str]
    """The user name."""


class VerificationClientCertificate(TypedDict, total=False):
    """A client certificate (mTLS), checked by the proxy that ends TLS, which tells it in a header. Only for a server that
    is reached through that proxy alone, and a proxy that removes the header from what clients send.
    """

    allowed: Required[list[str]]
    """Fingerprints (hex, with or without colons) or subjects, any one of which is good."""
    header: Required[str]
    """The header that the proxy sets, e.g. `X-Client-Cert-Sha256` or `X-Client-Cert-Subject`."""
    scheme: Required[Literal["clientCertificate"]]
    """Always `clientCertificate`."""


class VerificationDropbox(TypedDict, total=False):
    """Dropbox: `X-Dropbox-Signature`. `GET ?challenge` is answered with the challenge."""

    scheme: Required[Literal["dropbox"]]
    """Always `dropbox`."""
    secret: Required[SecretNames]
    """The app's secret."""


class VerificationGithub(TypedDict, total=False):
    """GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 of the body."""

    scheme: Required[Literal["github"]]
    """Always `github`."""
    secret: Required[SecretNames]
    """The webhook's secret."""


class VerificationHmac(TypedDict, total=False):
    """An HMAC that is put together here."""

    algorithm: HmacAlgorithm
    """The hash."""
    encoding: SignatureEncoding
    """How the signature is written."""
    header: Required[str]
    """The header of the signature."""
    idHeader: str | None
    """The header of the delivery's id, by which a repeat is known."""
    payload: str
    """What is signed: text with `{body}` once, and `{timestamp}`, `{id}`, `{method}` and `{url}` as needed."""
    prefix: str
    """What stands before the signature, e.g. `sha256=`."""
    scheme: Required[Literal["hmac"]]
    """Always `hmac`."""
    secret: Required[SecretNames]
    """The key, used as text."""
    timestampHeader: str | None
    """The header of the timestamp: Unix seconds, Unix milliseconds or RFC 3339. It must be part of `payload`."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationHubspot(TypedDict, total=False):
    """HubSpot: `X-HubSpot-Signature` (v1 and v2) or `X-HubSpot-Signature-v3`."""

    scheme: Required[Literal["hubspot"]]
    """Always `hubspot`."""
    secret: Required[SecretNames]
    """The app's client secret."""
    toleranceSeconds: int | None
    """Seconds that the timestamp of v3 may be away from now; 300 when absent."""
    url: str | None
    """The webhook's URL as HubSpot has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
    `X-Forwarded-Host` or `Host`, and the path.
    """
    version: HubspotVersion
    """Which of HubSpot's three signatures is asked for."""


class VerificationLinear(TypedDict, total=False):
    """Linear: `Linear-Signature`, and `webhookTimestamp` in the body."""

    scheme: Required[Literal["linear"]]
    """Always `linear`."""
    secret: Required[SecretNames]
    """The webhook's signing secret."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationMeta(TypedDict, total=False):
    """Meta (Facebook, Instagram, WhatsApp): `X-Hub-Signature-256`. `GET ?hub.challenge` with the right
    `hub.verify_token` is answered with the challenge.
    """

    scheme: Required[Literal["meta"]]
    """Always `meta`."""
    secret: Required[SecretNames]
    """The app's secret."""
    verifyToken: Required[SecretNames]
    """The verify token that was given to Meta."""


class VerificationMicrosoftGraph(TypedDict, total=False):
    """Microsoft Graph: the `clientState` of every notification. `POST ?validationToken` is answered with the token."""

    clientState: Required[SecretNames]
    """The `clientState` that the subscription was made with."""
    scheme: Required[Literal["microsoftGraph"]]
    """Always `microsoftGraph`."""


class VerificationNotion(TypedDict, total=False):
    """Notion: `X-Notion-Signature`. The token that Notion posts first is stored as the secret, if there is none yet."""

    scheme: Required[Literal["notion"]]
    """Always `notion`."""
    secret: Required[SecretNames]
    """Where the verification token is kept."""


class VerificationPublic(TypedDict, total=False):
    """Not at all: anybody may send."""

    scheme: Required[Literal["public"]]
    """Always `public`."""


class VerificationShopify(TypedDict, total=False):
    """Shopify: `X-Shopify-Hmac-Sha256`."""

    scheme: Required[Literal["shopify"]]
    """Always `shopify`."""
    secret: Required[SecretNames]
    """The app's client secret."""


class VerificationSlack(TypedDict, total=False):
    """Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`. A signed `url_verification` is answered with its
    challenge.
    """

    scheme: Required[Literal["slack"]]
    """Always `slack`."""
    secret: Required[SecretNames]
    """The app's signing secret."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationStandardWebhooks(TypedDict, total=False):
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` (v1)."""

    scheme: Required[Literal["standardWebhooks"]]
    """Always `standardWebhooks`."""
    secret: Required[SecretNames]
    """The `whsec_…` key."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationStripe(TypedDict, total=False):
    """Stripe: `Stripe-Signature`."""

    scheme: Required[Literal["stripe"]]
    """Always `stripe`."""
    secret: Required[SecretNames]
    """The endpoint's `whsec_…` secret."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationSvix(TypedDict, total=False):
    """Svix: Standard Webhooks under the names `svix-id`, `svix-timestamp`, `svix-signature`, or the standard ones."""

    scheme: Required[Literal["svix"]]
    """Always `svix`."""
    secret: Required[SecretNames]
    """The `whsec_…` key."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


class VerificationToken(TypedDict, total=False):
    """A shared token in a header."""

    header: Required[str]
    """The header, e.g. `X-Gitlab-Token`."""
    prefix: str
    """What stands before the token, e.g. `Bearer ` with its space."""
    scheme: Required[Literal["token"]]
    """Always `token`."""
    secret: Required[SecretNames]
    """The token."""


class VerificationTwilio(TypedDict, total=False):
    """Twilio: `X-Twilio-Signature` over the URL and the form's fields, or the URL with the body's SHA-256 in it."""

    scheme: Required[Literal["twilio"]]
    """Always `twilio`."""
    secret: Required[SecretNames]
    """The account's auth token."""
    url: str | None
    """The webhook's URL as Twilio has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
    `X-Forwarded-Host` or `Host`, and the path.
    """


class VerificationZendesk(TypedDict, total=False):
    """Zendesk: `X-Zendesk-Webhook-Signature` and `X-Zendesk-Webhook-Signature-Timestamp`."""

    scheme: Required[Literal["zendesk"]]
    """Always `zendesk`."""
    secret: Required[SecretNames]
    """The webhook's signing secret."""
    toleranceSeconds: int | None
    """Seconds that the timestamp may be away from now; 300 when absent."""


Weekday = Literal[
    "sun",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
]
"""A day of the week."""

class WhenCron(TypedDict, total=False):
    """As a cron expression says."""

    expression: Required[str]
    """Five fields: minute, hour, day of month, month, day of week."""
    mode: Required[Literal["cron"]]
    """Always `cron`."""


class WhenDaily(TypedDict, total=False):
    """Every day."""

    at: Required[str]
    """The time of day, `HH:MM`."""
    mode: Required[Literal["daily"]]
    """Always `daily`."""


class WhenInterval(TypedDict, total=False):
    """Again and again after the same time."""

    every: Required[int]
    """How many units: at least 1, and at most 366 days in all."""
    mode: Required[Literal["interval"]]
    """Always `interval`."""
    unit: Required[Unit]
    """Of what."""


class WhenMonthly(TypedDict, total=False):
    """On one day of each month."""

    at: Required[str]
    """The time of day, `HH:MM`."""
    day: Required[int]
    """1 to 31; in a month that has no such day, its last."""
    mode: Required[Literal["monthly"]]
    """Always `monthly`."""


class WhenWeekly(TypedDict, total=False):
    """On some days of each week."""

    at: Required[str]
    """The time of day, `HH:MM`."""
    days: Required[list[Weekday]]
    """At least one."""
    mode: Required[Literal["weekly"]]
    """Always `weekly`."""


class Workflow(TypedDict, total=False):
    """A workflow: its settings. Its code is published as immutable versions."""

    description: str
    """What it does."""
    escalateOnTimeout: bool
    """On timeout, go on one tier up instead of ending (instant to standard, standard to long)."""
    flow: FlowControl | None
    """What holds its executions back."""
    id: Required[str]
    """Stable id, e.g. `triage` or `wf_3f2a9c0d1b7e`."""
    name: str
    """Name for people."""
    retry: RetryPolicy | None
    """Retry of transient failures; when absent the trigger's attempts count."""
    status: Switch
    """Whether new runs start."""
    tier: Tier
    """How it answers and how long it may take."""
    timeoutMs: int | None
    """Most milliseconds of running; the tier's own limit when absent, and never above it."""


AlertChannel = Union["AlertChannelWebhook", "AlertChannelSlack", "AlertChannelEmail"]
"""Who is told."""

CatchUp = Union["CatchUpNone", "CatchUpLast", "CatchUpAll"]
"""What becomes of fires that were missed: no node with the role was there for more than a minute."""

Compare = Union["CompareRecord", "CompareFields", "CompareExcept"]
"""What of a record is compared. Paths are dotted."""

Condition = Union["ConditionAll", "ConditionAny", "ConditionNot", "Comparison"]
"""A condition: one comparison, or a combination."""

Paging = Union["PagingNone", "PagingPage", "PagingCursor", "PagingLink"]
"""How the next page of a listing is asked for."""

ReplaySelection = Union["ReplaySelectionExecutions", "ReplaySelectionDeadLetters", "ReplaySelectionEvents"]
"""What is replayed: everything that every field that is there lets through."""

SecretNames = Union[str, List[str]]
"""The name of a secret; two names while a key is being changed: either key is good."""

SendAppEvents = Union[SendAppEvent, List[SendAppEvent]]
"""One event of an app, or many at once."""

SendEvents = Union[SendEvent, List[SendEvent]]
"""One event, or many at once."""

TriggerSource = Union["TriggerSourceWebhook", "TriggerSourceAppEvent", "TriggerSourceEvent", "TriggerSourceSchedule", "TriggerSourcePoll"]
"""What a trigger listens to."""

Verification = Union["VerificationAccessKey", "VerificationPublic", "VerificationGithub", "VerificationStandardWebhooks", "VerificationSvix", "VerificationStripe", "VerificationSlack", "VerificationShopify", "VerificationHubspot", "VerificationTwilio", "VerificationLinear", "VerificationZendesk", "VerificationMeta", "VerificationDropbox", "VerificationNotion", "VerificationMicrosoftGraph", "VerificationHmac", "VerificationToken", "VerificationBasic", "VerificationClientCertificate"]
"""How a webhook's sender proves itself."""

When = Union["WhenInterval", "WhenDaily", "WhenWeekly", "WhenMonthly", "WhenCron"]
"""When a schedule fires."""

__all__ = [
    "AlertChannel",
    "AlertChannelEmail",
    "AlertChannelSlack",
    "AlertChannelWebhook",
    "AlertComparison",
    "AlertMetric",
    "AlertRule",
    "AlertState",
    "AlertStatus",
    "App",
    "AppEvent",
    "AutoDisable",
    "BackfillSchedule",
    "Backoff",
    "BatchWindow",
    "CatchUp",
    "CatchUpAll",
    "CatchUpLast",
    "CatchUpNone",
    "Challenge",
    "ChallengeAnswer",
    "ChallengeIn",
    "ChallengeWhen",
    "ChangeStatus",
    "Compare",
    "CompareExcept",
    "CompareFields",
    "CompareRecord",
    "Comparison",
    "Concurrency",
    "Condition",
    "ConditionAll",
    "ConditionAny",
    "ConditionNot",
    "CursorOf",
    "Customer",
    "CustomerStatus",
    "CustomerTier",
    "DeadLetterStatus",
    "Debounce",
    "Decision",
    "DeployVersion",
    "Dimension",
    "Enforcement",
    "EnvConfig",
    "ErasureStatus",
    "EventStatus",
    "ExecutionMode",
    "ExecutionStatus",
    "FlowControl",
    "HmacAlgorithm",
    "HubspotVersion",
    "Incremental",
    "Initial",
    "Limit",
    "Measure",
    "Operator",
    "Origin",
    "Overlap",
    "Paging",
    "PagingCursor",
    "PagingLink",
    "PagingNone",
    "PagingPage",
    "Plan",
    "PollInterval",
    "PollOutcome",
    "PollRequest",
    "Priority",
    "PublishVersion",
    "QuotaOutcome",
    "QuotaSettings",
    "QuotaSource",
    "Quotas",
    "Rate",
    "Region",
    "ReplayDeadLetters",
    "ReplayExecution",
    "ReplayFrom",
    "ReplaySelection",
    "ReplaySelectionDeadLetters",
    "ReplaySelectionEvents",
    "ReplaySelectionExecutions",
    "ReplayStatus",
    "RequestTemplate",
    "RetentionSettings",
    "RetryPolicy",
    "Route",
    "RunWorkflow",
    "SecretNames",
    "SecretWrite",
    "SendAppEvent",
    "SendAppEvents",
    "SendEvent",
    "SendEvents",
    "SignatureEncoding",
    "SilenceAlert",
    "Singleton",
    "SingletonMode",
    "StartReplay",
    "Subscription",
    "SubscriptionState",
    "Switch",
    "Tier",
    "Trigger",
    "TriggerSource",
    "TriggerSourceAppEvent",
    "TriggerSourceEvent",
    "TriggerSourcePoll",
    "TriggerSourceSchedule",
    "TriggerSourceWebhook",
    "Unit",
    "Verification",
    "VerificationAccessKey",
    "VerificationBasic",
    "VerificationClientCertificate",
    "VerificationDropbox",
    "VerificationGithub",
    "VerificationHmac",
    "VerificationHubspot",
    "VerificationLinear",
    "VerificationMeta",
    "VerificationMicrosoftGraph",
    "VerificationNotion",
    "VerificationPublic",
    "VerificationShopify",
    "VerificationSlack",
    "VerificationStandardWebhooks",
    "VerificationStripe",
    "VerificationSvix",
    "VerificationToken",
    "VerificationTwilio",
    "VerificationZendesk",
    "Weekday",
    "When",
    "WhenCron",
    "WhenDaily",
    "WhenInterval",
    "WhenMonthly",
    "WhenWeekly",
    "Workflow",
]
