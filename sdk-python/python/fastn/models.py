"""What is answered: dictionaries with the names of the wire, and attributes with Python's names and types.

Derived by `generate.py`: do not edit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from . import types as t
from ._model import Model, instant, one, rows

# mypy: disable-error-code="no-any-return"


class Accepted(Model):
    """The answer to events that were taken: durable, not yet processed."""

    __slots__ = ()

    @property
    def event_id(self) -> str:
        """The event's id, the first one's of a batch."""
        return self["eventId"]

    @property
    def event_ids(self) -> list[str] | None:
        """All ids of a batch, in order."""
        return self.get("eventIds")


class AlertChannel(Model):
    """Who is told."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """Name of the secret that holds the `whsec_…` key."""
        return self["secret"]

    @property
    def type(self) -> Literal["webhook", "slack", "email"]:
        """Always `webhook`."""
        return self["type"]

    @property
    def url(self) -> str | None:
        """Where to."""
        return self.get("url")

    @property
    def from_(self) -> str | None:
        """The sender."""
        return self.get("from")

    @property
    def to(self) -> list[str] | None:
        """The recipients."""
        return self.get("to")


class AlertChannelEmail(Model):
    """A mail."""

    __slots__ = ()

    @property
    def from_(self) -> str:
        """The sender."""
        return self["from"]

    @property
    def secret(self) -> str:
        """Name of the secret that holds the server: `smtps://user:password@host`, `smtp://…` (with STARTTLS), or
        `smtp://…?tls=none`.
        """
        return self["secret"]

    @property
    def to(self) -> list[str]:
        """The recipients."""
        return self["to"]

    @property
    def type(self) -> Literal["email"]:
        """Always `email`."""
        return self["type"]


class AlertChannelSlack(Model):
    """A message to an incoming webhook of Slack, or of whatever takes the same."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """Name of the secret that holds the URL, which is all that protects it."""
        return self["secret"]

    @property
    def type(self) -> Literal["slack"]:
        """Always `slack`."""
        return self["type"]


class AlertChannelWebhook(Model):
    """A POST of an `AlertNotice` with a signature after Standard Webhooks."""

    __slots__ = ()

    @property
    def secret(self) -> str:
        """Name of the secret that holds the `whsec_…` key."""
        return self["secret"]

    @property
    def type(self) -> Literal["webhook"]:
        """Always `webhook`."""
        return self["type"]

    @property
    def url(self) -> str:
        """Where to."""
        return self["url"]


class AlertNotice(Model):
    """What a webhook channel is sent."""

    __slots__ = ()

    @property
    def data(self) -> AlertView:
        """The alert, without its notifications."""
        return one(self, "data", AlertView)

    @property
    def timestamp(self) -> datetime:
        """When it came to stand there."""
        return instant(self, "timestamp")  # type: ignore[return-value]

    @property
    def type(self) -> Literal["alert.firing", "alert.resolved", "alert.test"]:
        """`alert.firing`, `alert.resolved` or `alert.test`."""
        return self["type"]


class AlertNotification(Model):
    """One message to one channel."""

    __slots__ = ()

    @property
    def about(self) -> t.AlertState:
        """`firing` or `resolved`."""
        return self["about"]

    @property
    def attempts(self) -> int:
        """Attempts made."""
        return self["attempts"]

    @property
    def channel(self) -> Literal["webhook", "slack", "email"]:
        """`webhook`, `slack` or `email`."""
        return self["channel"]

    @property
    def error(self) -> str | None:
        """Why the last one failed."""
        return self.get("error")

    @property
    def id(self) -> str:
        """The message's id, the same in every attempt: `webhook-id`."""
        return self["id"]

    @property
    def status(self) -> Literal["pending", "delivered", "failed"]:
        """`pending`, `delivered` or `failed`."""
        return self["status"]


class AlertTested(Model):
    """What became of a test of a rule's channels."""

    __slots__ = ()

    @property
    def notifications(self) -> list[AlertNotification]:
        """One for each channel of the rule, in its order."""
        return rows(self, "notifications", AlertNotification)


class AlertView(Model):
    """One time that a rule fired."""

    __slots__ = ()

    @property
    def comparison(self) -> t.AlertComparison:
        """Which side was bad."""
        return self["comparison"]

    @property
    def customer(self) -> str | None:
        """The one customer that the rule is about."""
        return self.get("customer")

    @property
    def dimension(self) -> t.Dimension | None:
        """Of quota use: which quota."""
        return self.get("dimension")

    @property
    def fired_at(self) -> datetime:
        """When it fired."""
        return instant(self, "firedAt")  # type: ignore[return-value]

    @property
    def id(self) -> str:
        """`alert_…`"""
        return self["id"]

    @property
    def metric(self) -> t.AlertMetric:
        """What was measured."""
        return self["metric"]

    @property
    def name(self) -> str | None:
        """The rule's name when it fired."""
        return self.get("name")

    @property
    def notifications(self) -> list[AlertNotification] | None:
        """Who was told, in order."""
        return rows(self, "notifications", AlertNotification)

    @property
    def resolved_at(self) -> datetime | None:
        """When it was over."""
        return instant(self, "resolvedAt")

    @property
    def resolved_by(self) -> Literal["recovered", "changed", "paused", "deleted"] | None:
        """How it was over: `recovered`, or `changed`, `paused` or `deleted` as the rule was."""
        return self.get("resolvedBy")

    @property
    def rule(self) -> str:
        """The rule's id."""
        return self["rule"]

    @property
    def state(self) -> t.AlertState:
        """Where it stands."""
        return self["state"]

    @property
    def threshold(self) -> float:
        """Of what."""
        return self["threshold"]

    @property
    def value(self) -> float:
        """The value when it fired."""
        return self["value"]

    @property
    def value_of(self) -> str | None:
        """Of quota use: the customer whose use the value is."""
        return self.get("valueOf")


class AppAccepted(Model):
    """The answer to app events: what was dispatched is durable."""

    __slots__ = ()

    @property
    def dispatched(self) -> int:
        """Events stored, one for each customer that listens."""
        return self["dispatched"]

    @property
    def event_ids(self) -> list[str] | None:
        """The ids of what was stored; an event that went to several customers has the same id with each."""
        return self.get("eventIds")

    @property
    def received(self) -> int:
        """Events in the request."""
        return self["received"]

    @property
    def unroutable(self) -> int:
        """Events of accounts that no trigger has, or that do not say whose they are. They start nothing, and are shown among the
        account's events with the reason.
        """
        return self["unroutable"]


class AppEvent(Model):
    """An event that an app sends."""

    __slots__ = ()

    @property
    def description(self) -> str | None:
        """What it tells."""
        return self.get("description")

    @property
    def id(self) -> str:
        """As the payload names it, e.g. `contact.creation`."""
        return self["id"]

    @property
    def label(self) -> str | None:
        """Name for people."""
        return self.get("label")

    @property
    def payload_schema(self) -> Any:
        """JSON Schema of its payload, for people and editors; payloads are not checked against it."""
        return self.get("payloadSchema")


class AutoDisable(Model):
    """When failures in a row switch a schedule off."""

    __slots__ = ()

    @property
    def cooldown_minutes(self) -> int | None:
        """After so many minutes it is switched on again, and off again by the next failure; 0 leaves it to a person. At most
        43,200 (30 days).
        """
        return self.get("cooldownMinutes")

    @property
    def failures(self) -> int | None:
        """Failed fires in a row, 1 to 1,000; 0 never switches it off."""
        return self.get("failures")


class BatchWindow(Model):
    """One execution for many events: its input is the array of their payloads, in order."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """A batch for each value of this path."""
        return self.get("key")

    @property
    def max_size(self) -> int:
        """It starts with so many events, 1 to 1,000."""
        return self["maxSize"]

    @property
    def max_wait_ms(self) -> int:
        """Or so many milliseconds after the first, at most a day."""
        return self["maxWaitMs"]


class CapturedToken(Model):
    """A token that a provider handed over in a handshake."""

    __slots__ = ()
    _hidden = frozenset(['token'])

    @property
    def token(self) -> str:
        """The token, to be given back to the provider."""
        return self["token"]


class CatchUp(Model):
    """What becomes of fires that were missed: no node with the role was there for more than a minute."""

    __slots__ = ()

    @property
    def policy(self) -> Literal["none", "last", "all"]:
        """Always `none`."""
        return self["policy"]

    @property
    def window_minutes(self) -> int | None:
        """1 to 1,380 minutes (23 hours)."""
        return self.get("windowMinutes")


class CatchUpAll(Model):
    """All of them are, as far as they are not older than the window."""

    __slots__ = ()

    @property
    def policy(self) -> Literal["all"]:
        """Always `all`."""
        return self["policy"]

    @property
    def window_minutes(self) -> int | None:
        """1 to 1,380 minutes (23 hours)."""
        return self.get("windowMinutes")


class CatchUpLast(Model):
    """The last of them is made up for, however many there were."""

    __slots__ = ()

    @property
    def policy(self) -> Literal["last"]:
        """Always `last`."""
        return self["policy"]


class CatchUpNone(Model):
    """They are left out."""

    __slots__ = ()

    @property
    def policy(self) -> Literal["none"]:
        """Always `none`."""
        return self["policy"]


class Challenge(Model):
    """A handshake: the sender asks whether the URL waits for it by a challenge, which is given back."""

    __slots__ = ()

    @property
    def answer(self) -> t.ChallengeAnswer | None:
        """How it is given back."""
        return self.get("answer")

    @property
    def answer_field(self) -> str | None:
        """The field of a JSON answer; `challenge` when absent."""
        return self.get("answerField")

    @property
    def field(self) -> str:
        """The parameter of the query, or the path in the body, e.g. `challenge` or `data.token`."""
        return self["field"]

    @property
    def in_(self) -> t.ChallengeIn:
        """Where the challenge stands."""
        return self["in"]

    @property
    def when(self) -> ChallengeWhen | None:
        """Only a request for which this holds too is a handshake."""
        return one(self, "when", ChallengeWhen)


class ChallengeWhen(Model):
    """What else a handshake has, in the same place as the challenge."""

    __slots__ = ()

    @property
    def field(self) -> str:
        """The parameter of the query, or the path in the body, e.g. `type`."""
        return self["field"]

    @property
    def value(self) -> str:
        """The text that stands there, e.g. `url_verification`."""
        return self["value"]


class Compare(Model):
    """What of a record is compared. Paths are dotted."""

    __slots__ = ()

    @property
    def what(self) -> Literal["record", "fields", "except"]:
        """Always `record`."""
        return self["what"]

    @property
    def fields(self) -> list[str] | None:
        """1 to 100 paths."""
        return self.get("fields")


class CompareExcept(Model):
    """All but these fields."""

    __slots__ = ()

    @property
    def fields(self) -> list[str]:
        """1 to 100 paths."""
        return self["fields"]

    @property
    def what(self) -> Literal["except"]:
        """Always `except`."""
        return self["what"]


class CompareFields(Model):
    """Only these fields."""

    __slots__ = ()

    @property
    def fields(self) -> list[str]:
        """1 to 100 paths."""
        return self["fields"]

    @property
    def what(self) -> Literal["fields"]:
        """Always `fields`."""
        return self["what"]


class CompareRecord(Model):
    """All of it."""

    __slots__ = ()

    @property
    def what(self) -> Literal["record"]:
        """Always `record`."""
        return self["what"]


class Comparison(Model):
    """One comparison of a condition."""

    __slots__ = ()

    @property
    def op(self) -> t.Operator:
        """How to compare."""
        return self["op"]

    @property
    def path(self) -> str:
        """A dotted and indexed path into the payload, e.g. `data.items[0].id`. `$type`, `$source`, `$subject` and
        `$headers.<name>` read the event's attributes instead.
        """
        return self["path"]

    @property
    def value(self) -> Any:
        """With what."""
        return self.get("value")


class Concurrency(Model):
    """Most executions between their start and their end, waits included."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """So many for each value of this path."""
        return self.get("key")

    @property
    def limit(self) -> int:
        """Most at once, at least 1."""
        return self["limit"]


class Condition(Model):
    """A condition: one comparison, or a combination."""

    __slots__ = ()

    @property
    def all(self) -> list[Condition] | None:
        """The parts."""
        return rows(self, "all", Condition)

    @property
    def any(self) -> list[Condition] | None:
        """The parts."""
        return rows(self, "any", Condition)

    @property
    def not_(self) -> Condition | None:
        """The part."""
        return one(self, "not", Condition)

    @property
    def op(self) -> t.Operator | None:
        """How to compare."""
        return self.get("op")

    @property
    def path(self) -> str | None:
        """A dotted and indexed path into the payload, e.g. `data.items[0].id`. `$type`, `$source`, `$subject` and
        `$headers.<name>` read the event's attributes instead.
        """
        return self.get("path")

    @property
    def value(self) -> Any:
        """With what."""
        return self.get("value")


class ConditionAll(Model):
    """All of them hold. An empty list holds."""

    __slots__ = ()

    @property
    def all(self) -> list[Condition]:
        """The parts."""
        return rows(self, "all", Condition)


class ConditionAny(Model):
    """At least one of them holds. An empty list does not."""

    __slots__ = ()

    @property
    def any(self) -> list[Condition]:
        """The parts."""
        return rows(self, "any", Condition)


class ConditionNot(Model):
    """The part does not hold."""

    __slots__ = ()

    @property
    def not_(self) -> Condition:
        """The part."""
        return one(self, "not", Condition)


class CurrentUsage(Model):
    """Every dimension of one customer, or of the account itself."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """The customer; absent for the account itself."""
        return self.get("customer")

    @property
    def plan(self) -> str:
        """The account's plan."""
        return self["plan"]

    @property
    def quotas(self) -> list[QuotaView]:
        """One for each dimension."""
        return rows(self, "quotas", QuotaView)

    @property
    def tier(self) -> str | None:
        """The customer's tier."""
        return self.get("tier")


class DeadLetterReplay(Model):
    """One replayed dead letter."""

    __slots__ = ()

    @property
    def dead_letter(self) -> str:
        """The dead letter."""
        return self["deadLetter"]

    @property
    def execution_id(self) -> str:
        """The execution that runs it again."""
        return self["executionId"]


class DeadLetterView(Model):
    """An execution that failed for good."""

    __slots__ = ()

    @property
    def attempts(self) -> int:
        """Attempts made."""
        return self["attempts"]

    @property
    def created_at(self) -> datetime:
        """When it was put here."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def customer(self) -> str:
        """The customer."""
        return self["customer"]

    @property
    def error(self) -> ExecutionError:
        """Why."""
        return one(self, "error", ExecutionError)

    @property
    def event_id(self) -> str:
        """The event that started it."""
        return self["eventId"]

    @property
    def id(self) -> str:
        """The execution's id, which is the dead letter's id too."""
        return self["id"]

    @property
    def replays(self) -> list[str] | None:
        """The replays made of it."""
        return self.get("replays")

    @property
    def status(self) -> t.DeadLetterStatus:
        """What became of it."""
        return self["status"]

    @property
    def workflow(self) -> str:
        """The workflow."""
        return self["workflow"]


class DeadLettersReplayed(Model):
    """What a replay of many dead letters started."""

    __slots__ = ()

    @property
    def count(self) -> int:
        """How many were started."""
        return self["count"]

    @property
    def replays(self) -> list[DeadLetterReplay]:
        """Each with its new execution."""
        return rows(self, "replays", DeadLetterReplay)

    @property
    def skipped(self) -> list[str] | None:
        """Those named that were not there, or cannot be replayed."""
        return self.get("skipped")


class Debounce(Model):
    """The newest event wins: its execution starts once no other came for a period."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """By each value of this path."""
        return self.get("key")

    @property
    def max_wait_ms(self) -> int | None:
        """Most milliseconds since the first event, however many follow; no end when absent."""
        return self.get("maxWaitMs")

    @property
    def period_ms(self) -> int:
        """Milliseconds without another event, at most a day."""
        return self["periodMs"]


class ErasedKey(Model):
    """A data key that was destroyed."""

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was made."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def id(self) -> str:
        """The key's id, which sealed records name."""
        return self["id"]


class ErasedLog(Model):
    """What of the customer remains in one partition of one topic."""

    __slots__ = ()

    @property
    def from_(self) -> int:
        """The first offset that was there."""
        return self["from"]

    @property
    def gone_by(self) -> datetime:
        """When retention has removed the whole range, unless it lies in a backup of the log's own files."""
        return instant(self, "goneBy")  # type: ignore[return-value]

    @property
    def partition(self) -> int:
        """The partition that all of the customer's records lie in, beside those of others."""
        return self["partition"]

    @property
    def to(self) -> int:
        """One past the last."""
        return self["to"]

    @property
    def topic(self) -> Literal["events", "executions"]:
        """`events` or `executions`."""
        return self["topic"]

    @property
    def unreadable(self) -> bool:
        """Whether the payloads of every record of the customer in this range are sealed under a destroyed key. Otherwise
        records from before `encryptLog` was switched on, if any, can be read until `gone_by`.
        """
        return self["unreadable"]


class ErasedRows(Model):
    """Rows deleted from one table."""

    __slots__ = ()

    @property
    def rows(self) -> int:
        """How many."""
        return self["rows"]

    @property
    def table(self) -> str:
        """The table."""
        return self["table"]


class ErasureStep(Model):
    """A step of an erasure."""

    __slots__ = ()

    @property
    def at(self) -> datetime:
        """When it was done."""
        return instant(self, "at")  # type: ignore[return-value]

    @property
    def step(self) -> Literal["refused", "stopped", "deleted", "key_destroyed", "forgotten", "compacted", "done"]:
        """`refused`, `stopped`, `deleted`, `key_destroyed`, `forgotten`, `compacted`, `done`."""
        return self["step"]


class ErasureView(Model):
    """The erasure of one customer: the proof of what was destroyed where. It holds no personal data: the customer is told by
    a hash.
    """

    __slots__ = ()

    @property
    def customer_hash(self) -> str:
        """SHA-256 of `<erasure id>/<customer id>`, in hex: who knows the customer's id can tell that it was this one."""
        return self["customerHash"]

    @property
    def finished_at(self) -> datetime | None:
        """When it was done."""
        return instant(self, "finishedAt")

    @property
    def id(self) -> str:
        """`ers_…`"""
        return self["id"]

    @property
    def keys_(self) -> list[ErasedKey] | None:
        """The data keys that were destroyed: what the log holds under them cannot be read by anybody."""
        return rows(self, "keys", ErasedKey)

    @property
    def log(self) -> list[ErasedLog] | None:
        """What remains in the log, and for how long."""
        return rows(self, "log", ErasedLog)

    @property
    def requested_at(self) -> datetime:
        """When it was asked for."""
        return instant(self, "requestedAt")  # type: ignore[return-value]

    @property
    def rows(self) -> list[ErasedRows]:
        """Rows deleted from the database, by table."""
        return rows(self, "rows", ErasedRows)

    @property
    def status(self) -> t.ErasureStatus:
        """Where it stands."""
        return self["status"]

    @property
    def steps(self) -> list[ErasureStep]:
        """What was done, in order. Only grows."""
        return rows(self, "steps", ErasureStep)


class EventView(Model):
    """An event."""

    __slots__ = ()

    @property
    def customer(self) -> str:
        """The customer; empty for an app's event that went to none."""
        return self["customer"]

    @property
    def data(self) -> Any:
        """The payload; only when a single event is read."""
        return self.get("data")

    @property
    def executions(self) -> list[str] | None:
        """The executions that it started."""
        return self.get("executions")

    @property
    def id(self) -> str:
        """The id that the sender chose, or ours."""
        return self["id"]

    @property
    def origin(self) -> t.Origin:
        """Where it came from."""
        return self["origin"]

    @property
    def priority(self) -> t.Priority | None:
        """The priority that it was sent with."""
        return self.get("priority")

    @property
    def quota(self) -> t.QuotaOutcome | None:
        """What a quota did to it."""
        return self.get("quota")

    @property
    def reason(self) -> str | None:
        """Why, where the status needs a reason."""
        return self.get("reason")

    @property
    def received_at(self) -> datetime:
        """When it became durable."""
        return instant(self, "receivedAt")  # type: ignore[return-value]

    @property
    def source(self) -> str:
        """CloudEvents `source`."""
        return self["source"]

    @property
    def status(self) -> t.EventStatus:
        """What admission made of it."""
        return self["status"]

    @property
    def subject(self) -> str | None:
        """CloudEvents `subject`."""
        return self.get("subject")

    @property
    def time(self) -> datetime:
        """When it happened, as its sender says; else when it arrived."""
        return instant(self, "time")  # type: ignore[return-value]

    @property
    def trigger(self) -> str | None:
        """The webhook trigger it arrived at."""
        return self.get("trigger")

    @property
    def type(self) -> str:
        """CloudEvents `type`."""
        return self["type"]


class ExecutionError(Model):
    """Why an execution failed."""

    __slots__ = ()

    @property
    def category(self) -> str:
        """`code`, `transient`, `memory`, `cpu`, `output`, `non_retryable`, `limit`, `timeout`, `cancelled` or `lost`."""
        return self["category"]

    @property
    def code(self) -> str:
        """The public code, e.g. `WF-EXEC-FAILED`."""
        return self["code"]

    @property
    def column(self) -> int | None:
        """The column, from 1."""
        return self.get("column")

    @property
    def file(self) -> str | None:
        """The TypeScript file."""
        return self.get("file")

    @property
    def line(self) -> int | None:
        """The line of the TypeScript, from 1."""
        return self.get("line")

    @property
    def message(self) -> str:
        """The error's message."""
        return self["message"]

    @property
    def name(self) -> str:
        """The error's class, e.g. `TypeError`."""
        return self["name"]

    @property
    def source_line(self) -> str | None:
        """That line's text."""
        return self.get("sourceLine")

    @property
    def stack(self) -> str | None:
        """The stack, in TypeScript positions."""
        return self.get("stack")

    @property
    def step(self) -> str | None:
        """The step in which it was thrown."""
        return self.get("step")


class ExecutionUpdate(Model):
    """Where an execution stands now: what live updates carry."""

    __slots__ = ()

    @property
    def at(self) -> datetime:
        """When it came to stand there."""
        return instant(self, "at")  # type: ignore[return-value]

    @property
    def attempt(self) -> int:
        """The attempt, from 1."""
        return self["attempt"]

    @property
    def customer(self) -> str:
        """The customer."""
        return self["customer"]

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from admission to the end; absent before the end."""
        return self.get("durationMs")

    @property
    def error(self) -> str | None:
        """One line of why the last attempt failed."""
        return self.get("error")

    @property
    def id(self) -> str:
        """`exec_…`"""
        return self["id"]

    @property
    def status(self) -> t.ExecutionStatus:
        """Where it stands."""
        return self["status"]

    @property
    def step_count(self) -> int | None:
        """Steps taken; absent before the end."""
        return self.get("stepCount")

    @property
    def trigger(self) -> str | None:
        """The trigger, if one matched."""
        return self.get("trigger")

    @property
    def workflow(self) -> str | None:
        """The workflow, unless it is not known any more."""
        return self.get("workflow")


class ExecutionView(Model):
    """An execution."""

    __slots__ = ()

    @property
    def attempt(self) -> int:
        """The current attempt, from 1."""
        return self["attempt"]

    @property
    def created_at(self) -> datetime:
        """When it was admitted."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def customer(self) -> str:
        """The customer."""
        return self["customer"]

    @property
    def duration_ms(self) -> int | None:
        """Milliseconds from admission to the end."""
        return self.get("durationMs")

    @property
    def environment(self) -> str:
        """The environment."""
        return self["environment"]

    @property
    def error(self) -> ExecutionError | None:
        """Why it failed."""
        return one(self, "error", ExecutionError)

    @property
    def event_id(self) -> str:
        """The event that started it."""
        return self["eventId"]

    @property
    def finished_at(self) -> datetime | None:
        """When it ended."""
        return instant(self, "finishedAt")

    @property
    def id(self) -> str:
        """`exec_…`"""
        return self["id"]

    @property
    def input(self) -> Any:
        """The input; only when a single execution is read."""
        return self.get("input")

    @property
    def logs(self) -> list[LogLineView] | None:
        """What it logged; only when a single execution is read."""
        return rows(self, "logs", LogLineView)

    @property
    def output(self) -> Any:
        """The result; only when a single execution is read."""
        return self.get("output")

    @property
    def parent(self) -> str | None:
        """The execution that invoked this one."""
        return self.get("parent")

    @property
    def replay_of(self) -> str | None:
        """The execution of which this is a replay."""
        return self.get("replayOf")

    @property
    def status(self) -> t.ExecutionStatus:
        """Where it stands."""
        return self["status"]

    @property
    def step_count(self) -> int:
        """How many steps it took."""
        return self["stepCount"]

    @property
    def steps(self) -> list[StepView] | None:
        """The steps, in order; only when a single execution is read."""
        return rows(self, "steps", StepView)

    @property
    def tier(self) -> t.Tier:
        """How it answers and how long it may take."""
        return self["tier"]

    @property
    def trigger(self) -> str | None:
        """The trigger, if one did."""
        return self.get("trigger")

    @property
    def triggered_by(self) -> t.Origin:
        """What caused it."""
        return self["triggeredBy"]

    @property
    def version(self) -> int:
        """The version that runs."""
        return self["version"]

    @property
    def waiting_on(self) -> WaitingOn | None:
        """What it waits for before it starts, if a limit holds it back."""
        return one(self, "waitingOn", WaitingOn)

    @property
    def workflow(self) -> str:
        """The workflow."""
        return self["workflow"]


class FlowControl(Model):
    """What holds executions back. Everything that is set holds. Each part may have a `key`: the path of a value in the payload,
    e.g. `order.customer`; then it holds for each value by itself. A customer never waits for another.
    """

    __slots__ = ()

    @property
    def batch(self) -> BatchWindow | None:
        """One execution for many events. Of triggers only."""
        return one(self, "batch", BatchWindow)

    @property
    def concurrency(self) -> Concurrency | None:
        """Most executions at once; the others wait."""
        return one(self, "concurrency", Concurrency)

    @property
    def debounce(self) -> Debounce | None:
        """Wait until the events pause, and run the newest only. Of triggers only."""
        return one(self, "debounce", Debounce)

    @property
    def priority(self) -> t.Priority | None:
        """The place in the customer's queue; by what started it when absent."""
        return self.get("priority")

    @property
    def rate(self) -> Rate | None:
        """Most starts in a period; the others wait for a later period."""
        return one(self, "rate", Rate)

    @property
    def singleton(self) -> Singleton | None:
        """One execution at a time, and what becomes of another."""
        return one(self, "singleton", Singleton)


class Health(Model):
    """What the server knows of its own state."""

    __slots__ = ()

    @property
    def checks(self) -> list[HealthCheck] | None:
        """Each part that was looked at, in order."""
        return rows(self, "checks", HealthCheck)

    @property
    def status(self) -> Literal["ok", "failing"]:
        """`ok` or `failing`."""
        return self["status"]

    @property
    def version(self) -> str:
        """The program's version."""
        return self["version"]


class HealthCheck(Model):
    """One part of the server."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """`log`, `store`, `catalog` …"""
        return self["name"]

    @property
    def ok(self) -> bool:
        """Whether it works."""
        return self["ok"]

    @property
    def reason(self) -> str | None:
        """Why it does not."""
        return self.get("reason")


class Incremental(Model):
    """Where the value for `{{cursor}}` comes from that makes a poll go on where the one before ended."""

    __slots__ = ()

    @property
    def of(self) -> t.CursorOf | None:
        """In what the path is."""
        return self.get("of")

    @property
    def path(self) -> str:
        """Path of the value: of records the greatest is kept, of answers that of the last page."""
        return self["path"]

    @property
    def start(self) -> str | None:
        """The value for the first poll; empty when absent."""
        return self.get("start")


class Limit(Model):
    """A limit of one dimension."""

    __slots__ = ()

    @property
    def limit(self) -> int:
        """The most that is within the limit."""
        return self["limit"]

    @property
    def mode(self) -> t.Enforcement | None:
        """What happens beyond it; hard when absent, and for concurrent executions queue."""
        return self.get("mode")


class LogLineView(Model):
    """A line that a workflow logged."""

    __slots__ = ()

    @property
    def at(self) -> datetime:
        """When, on the execution's own clock."""
        return instant(self, "at")  # type: ignore[return-value]

    @property
    def level(self) -> Literal["debug", "info", "warn", "error"]:
        """`debug`, `info`, `warn` or `error`."""
        return self["level"]

    @property
    def message(self) -> str:
        """The text."""
        return self["message"]


class Paging(Model):
    """How the next page of a listing is asked for."""

    __slots__ = ()

    @property
    def mode(self) -> Literal["none", "page", "cursor", "link"]:
        """Always `none`."""
        return self["mode"]

    @property
    def first(self) -> int | None:
        """The first."""
        return self.get("first")

    @property
    def step(self) -> int | None:
        """What is added for each next page: 1 for numbers of pages, the size of a page for offsets."""
        return self.get("step")

    @property
    def path(self) -> str | None:
        """Path in an answer of what stands for the next page."""
        return self.get("path")


class PagingCursor(Model):
    """`{{page}}` is what the answer before says; empty for the first page. The listing ends when an answer says nothing."""

    __slots__ = ()

    @property
    def mode(self) -> Literal["cursor"]:
        """Always `cursor`."""
        return self["mode"]

    @property
    def path(self) -> str:
        """Path in an answer of what stands for the next page."""
        return self["path"]


class PagingLink(Model):
    """An answer says the URL of the next page, at the same host."""

    __slots__ = ()

    @property
    def mode(self) -> Literal["link"]:
        """Always `link`."""
        return self["mode"]

    @property
    def path(self) -> str | None:
        """Path in an answer of that URL; the header `Link` with `rel="next"` when absent."""
        return self.get("path")


class PagingNone(Model):
    """One answer holds everything."""

    __slots__ = ()

    @property
    def mode(self) -> Literal["none"]:
        """Always `none`."""
        return self["mode"]


class PagingPage(Model):
    """`{{page}}` is a number that grows until a page has no records: a page's number, or an offset."""

    __slots__ = ()

    @property
    def first(self) -> int | None:
        """The first."""
        return self.get("first")

    @property
    def mode(self) -> Literal["page"]:
        """Always `page`."""
        return self["mode"]

    @property
    def step(self) -> int | None:
        """What is added for each next page: 1 for numbers of pages, the size of a page for offsets."""
        return self.get("step")


class PollInterval(Model):
    """How often a source is polled: the interval grows while nothing changes, and shrinks when something does."""

    __slots__ = ()

    @property
    def max_seconds(self) -> int | None:
        """The longest, in seconds: not below the shortest, and at most 86,400."""
        return self.get("maxSeconds")

    @property
    def min_seconds(self) -> int | None:
        """The shortest, in seconds: 5 to 86,400."""
        return self.get("minSeconds")


class PollRequest(Model):
    """An HTTP request with places to fill: `{{page}}`, `{{cursor}}`, `{{customer}}`, `{{trigger}}` and `{{secret.NAME}}`. A
    secret of the customer goes before one of the account.
    """

    __slots__ = ()

    @property
    def body(self) -> Any:
        """The body: JSON, in whose texts places are filled. A text alone is sent as it is."""
        return self.get("body")

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers."""
        return self.get("headers")

    @property
    def method(self) -> Literal["GET", "POST"] | None:
        """The method."""
        return self.get("method")

    @property
    def url(self) -> str:
        """The URL. What is filled in is percent-encoded; a parameter of the query that is filled with nothing is left out."""
        return self["url"]


class PollView(Model):
    """The polls of one trigger for one customer."""

    __slots__ = ()

    @property
    def created(self) -> int:
        """Records that it found to be new."""
        return self["created"]

    @property
    def customer(self) -> str:
        """The customer."""
        return self["customer"]

    @property
    def deleted(self) -> int:
        """Records that it found gone."""
        return self["deleted"]

    @property
    def detail(self) -> str | None:
        """What to know of it: why it failed, or what was left out. Nothing of the request or of an answer."""
        return self.get("detail")

    @property
    def failures(self) -> int:
        """Polls in a row that did not come to an end."""
        return self["failures"]

    @property
    def interval_seconds(self) -> int:
        """The interval as it has come out, in seconds."""
        return self["intervalSeconds"]

    @property
    def last_outcome(self) -> t.PollOutcome | None:
        """How it ended."""
        return self.get("lastOutcome")

    @property
    def last_poll(self) -> datetime | None:
        """When the last poll began."""
        return instant(self, "lastPoll")

    @property
    def last_success(self) -> datetime | None:
        """When the last poll began that did."""
        return instant(self, "lastSuccess")

    @property
    def next_poll(self) -> datetime:
        """When it polls next."""
        return instant(self, "nextPoll")  # type: ignore[return-value]

    @property
    def pages(self) -> int:
        """Pages that it read."""
        return self["pages"]

    @property
    def records(self) -> int:
        """Records that are remembered."""
        return self["records"]

    @property
    def running(self) -> bool:
        """Whether a node polls right now."""
        return self["running"]

    @property
    def trigger(self) -> str:
        """The trigger."""
        return self["trigger"]

    @property
    def updated(self) -> int:
        """Records that it found changed."""
        return self["updated"]


class PollsAsked(Model):
    """What was asked to poll at once."""

    __slots__ = ()

    @property
    def polls(self) -> int:
        """Customers whose polls begin within a second or two, if no node polls for them already."""
        return self["polls"]


class QuotaSettings(Model):
    """Which plan the account has."""

    __slots__ = ()

    @property
    def plan(self) -> str:
        """The plan's id; `unlimited` until somebody chooses another."""
        return self["plan"]


class QuotaView(Model):
    """One dimension: its limit, and what is left of it."""

    __slots__ = ()

    @property
    def dimension(self) -> t.Dimension:
        """Which."""
        return self["dimension"]

    @property
    def left(self) -> int | None:
        """What is left."""
        return self.get("left")

    @property
    def limit(self) -> int | None:
        """The limit; absent when there is none."""
        return self.get("limit")

    @property
    def mode(self) -> t.Enforcement | None:
        """What happens beyond it."""
        return self.get("mode")

    @property
    def resets_at(self) -> datetime | None:
        """When the present window ends, of dimensions that have one."""
        return instant(self, "resetsAt")

    @property
    def source(self) -> t.QuotaSource | None:
        """Where it comes from."""
        return self.get("source")

    @property
    def used(self) -> int | None:
        """How much is used in the present window; absent for what is enforced and not measured."""
        return self.get("used")


class Quotas(Model):
    """Limits by dimension. What is absent is not limited here; a wider source may limit it."""

    __slots__ = ()

    @property
    def api_calls_per_day(self) -> Limit | None:
        """Requests to the API in a day of UTC."""
        return one(self, "apiCallsPerDay", Limit)

    @property
    def api_calls_per_minute(self) -> Limit | None:
        """Requests to the API in a minute."""
        return one(self, "apiCallsPerMinute", Limit)

    @property
    def concurrent_executions(self) -> Limit | None:
        """Executions that run at once."""
        return one(self, "concurrentExecutions", Limit)

    @property
    def events_per_day(self) -> Limit | None:
        """Events admitted in a day of UTC."""
        return one(self, "eventsPerDay", Limit)

    @property
    def events_per_minute(self) -> Limit | None:
        """Events admitted in a minute."""
        return one(self, "eventsPerMinute", Limit)

    @property
    def payload_bytes(self) -> Limit | None:
        """Bytes of the payload of one event or run."""
        return one(self, "payloadBytes", Limit)

    @property
    def steps_per_execution(self) -> Limit | None:
        """Durable calls of one execution."""
        return one(self, "stepsPerExecution", Limit)

    @property
    def triggers(self) -> Limit | None:
        """Triggers that belong to the customer."""
        return one(self, "triggers", Limit)

    @property
    def workflows(self) -> Limit | None:
        """Workflows that the customer's triggers name."""
        return one(self, "workflows", Limit)


class Rate(Model):
    """Most starts in a period. Periods are counted from 1970-01-01 UTC."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """So many for each value of this path."""
        return self.get("key")

    @property
    def limit(self) -> int:
        """Most starts in one period, at least 1."""
        return self["limit"]

    @property
    def period_ms(self) -> int:
        """Milliseconds of the period, at most a day."""
        return self["periodMs"]


class ReplayPreview(Model):
    """What a replay would do. Nothing is started."""

    __slots__ = ()

    @property
    def more(self) -> bool:
        """Whether there are more than `total`: counting stops at 10,000."""
        return self["more"]

    @property
    def sample(self) -> list[ReplayPreviewItem]:
        """The first few, newest first."""
        return rows(self, "sample", ReplayPreviewItem)

    @property
    def seconds(self) -> int:
        """Seconds that it takes to start them at the rate asked for."""
        return self["seconds"]

    @property
    def total(self) -> int:
        """How many would run."""
        return self["total"]


class ReplayPreviewItem(Model):
    """What a replay would do with one execution or event."""

    __slots__ = ()

    @property
    def calls_again(self) -> list[str] | None:
        """Steps with calls to the outside that would go out again, as far as the last run made them."""
        return self.get("callsAgain")

    @property
    def customer(self) -> str:
        """Its customer."""
        return self["customer"]

    @property
    def id(self) -> str:
        """The execution or event."""
        return self["id"]

    @property
    def kept(self) -> list[str] | None:
        """Steps whose results would be kept."""
        return self.get("kept")

    @property
    def skipped(self) -> str | None:
        """Why it would be left out, if so."""
        return self.get("skipped")

    @property
    def version(self) -> int | None:
        """The version that would run."""
        return self.get("version")

    @property
    def workflow(self) -> str | None:
        """The workflow that would run; absent of an event, which today's triggers route."""
        return self.get("workflow")


class ReplaySelection(Model):
    """What is replayed: everything that every field that is there lets through."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """Only of this customer."""
        return self.get("customer")

    @property
    def error_code(self) -> str | None:
        """Only those whose error has this code."""
        return self.get("errorCode")

    @property
    def error_name(self) -> str | None:
        """Only those whose error has this class, e.g. `TypeError`."""
        return self.get("errorName")

    @property
    def error_step(self) -> str | None:
        """Only those that failed in this step."""
        return self.get("errorStep")

    @property
    def ids(self) -> list[str] | None:
        """These."""
        return self.get("ids")

    @property
    def of(self) -> Literal["executions", "dead_letters", "events"]:
        """Always `executions`."""
        return self["of"]

    @property
    def since(self) -> datetime | None:
        """Admitted at or after, RFC 3339."""
        return instant(self, "since")

    @property
    def status(self) -> t.ExecutionStatus | None:
        """Only those that ended so."""
        return self.get("status")

    @property
    def trigger(self) -> str | None:
        """Only of this trigger."""
        return self.get("trigger")

    @property
    def until(self) -> datetime | None:
        """Admitted before, RFC 3339."""
        return instant(self, "until")

    @property
    def version(self) -> int | None:
        """Only those that ran this version."""
        return self.get("version")

    @property
    def workflow(self) -> str | None:
        """Only of this workflow."""
        return self.get("workflow")

    @property
    def quota(self) -> t.QuotaOutcome | None:
        """Only those that a quota did this to: `blocked` once the limit is raised."""
        return self.get("quota")

    @property
    def type(self) -> str | None:
        """Only of this CloudEvents type."""
        return self.get("type")


class ReplaySelectionDeadLetters(Model):
    """Dead letters."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """Only of this customer."""
        return self.get("customer")

    @property
    def error_code(self) -> str | None:
        """Only those whose error has this code."""
        return self.get("errorCode")

    @property
    def error_name(self) -> str | None:
        """Only those whose error has this class, e.g. `TypeError`."""
        return self.get("errorName")

    @property
    def error_step(self) -> str | None:
        """Only those that failed in this step."""
        return self.get("errorStep")

    @property
    def ids(self) -> list[str] | None:
        """These."""
        return self.get("ids")

    @property
    def of(self) -> Literal["dead_letters"]:
        """Always `dead_letters`."""
        return self["of"]

    @property
    def since(self) -> datetime | None:
        """Put there at or after, RFC 3339."""
        return instant(self, "since")

    @property
    def status(self) -> t.DeadLetterStatus | None:
        """Only those that stand here; those that are pending when absent."""
        return self.get("status")

    @property
    def until(self) -> datetime | None:
        """Put there before, RFC 3339."""
        return instant(self, "until")

    @property
    def workflow(self) -> str | None:
        """Only of this workflow."""
        return self.get("workflow")


class ReplaySelectionEvents(Model):
    """Events, as if they came again under today's triggers."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """Only of this customer."""
        return self.get("customer")

    @property
    def ids(self) -> list[str] | None:
        """These."""
        return self.get("ids")

    @property
    def of(self) -> Literal["events"]:
        """Always `events`."""
        return self["of"]

    @property
    def quota(self) -> t.QuotaOutcome | None:
        """Only those that a quota did this to: `blocked` once the limit is raised."""
        return self.get("quota")

    @property
    def since(self) -> datetime | None:
        """Received at or after, RFC 3339."""
        return instant(self, "since")

    @property
    def status(self) -> t.EventStatus | None:
        """Only those of which admission made this; those rejected or unmatched when absent."""
        return self.get("status")

    @property
    def trigger(self) -> str | None:
        """Only of this webhook trigger."""
        return self.get("trigger")

    @property
    def type(self) -> str | None:
        """Only of this CloudEvents type."""
        return self.get("type")

    @property
    def until(self) -> datetime | None:
        """Received before, RFC 3339."""
        return instant(self, "until")


class ReplaySelectionExecutions(Model):
    """Executions that have ended."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """Only of this customer."""
        return self.get("customer")

    @property
    def error_code(self) -> str | None:
        """Only those whose error has this code."""
        return self.get("errorCode")

    @property
    def error_name(self) -> str | None:
        """Only those whose error has this class, e.g. `TypeError`."""
        return self.get("errorName")

    @property
    def error_step(self) -> str | None:
        """Only those that failed in this step."""
        return self.get("errorStep")

    @property
    def ids(self) -> list[str] | None:
        """These."""
        return self.get("ids")

    @property
    def of(self) -> Literal["executions"]:
        """Always `executions`."""
        return self["of"]

    @property
    def since(self) -> datetime | None:
        """Admitted at or after, RFC 3339."""
        return instant(self, "since")

    @property
    def status(self) -> t.ExecutionStatus | None:
        """Only those that ended so."""
        return self.get("status")

    @property
    def trigger(self) -> str | None:
        """Only of this trigger."""
        return self.get("trigger")

    @property
    def until(self) -> datetime | None:
        """Admitted before, RFC 3339."""
        return instant(self, "until")

    @property
    def version(self) -> int | None:
        """Only those that ran this version."""
        return self.get("version")

    @property
    def workflow(self) -> str | None:
        """Only of this workflow."""
        return self.get("workflow")


class ReplaySkip(Model):
    """One that was left out."""

    __slots__ = ()

    @property
    def id(self) -> str:
        """The execution or event."""
        return self["id"]

    @property
    def reason(self) -> str:
        """Why."""
        return self["reason"]


class ReplayView(Model):
    """A replay under way or over."""

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was asked for."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def customer(self) -> str | None:
        """The one customer that it is bound to."""
        return self.get("customer")

    @property
    def failed(self) -> int:
        """Of those started, how many ended otherwise."""
        return self["failed"]

    @property
    def finished_at(self) -> datetime | None:
        """When it was over."""
        return instant(self, "finishedAt")

    @property
    def id(self) -> str:
        """`rpl_…`"""
        return self["id"]

    @property
    def request(self) -> StartReplay:
        """What was asked for."""
        return one(self, "request", StartReplay)

    @property
    def skipped(self) -> int:
        """Left out so far, for the reasons in `skips`."""
        return self["skipped"]

    @property
    def skips(self) -> list[ReplaySkip] | None:
        """The first few that were left out."""
        return rows(self, "skips", ReplaySkip)

    @property
    def started(self) -> int:
        """Started so far."""
        return self["started"]

    @property
    def status(self) -> t.ReplayStatus:
        """Where it stands."""
        return self["status"]

    @property
    def succeeded(self) -> int:
        """Of those started, how many ended well."""
        return self["succeeded"]

    @property
    def total(self) -> int | None:
        """How many it will start; absent until they are counted."""
        return self.get("total")


class RequestTemplate(Model):
    """An HTTP request with places to fill: `{{app}}`, `{{event}}`, `{{accountId}}`, `{{customer}}`, `{{trigger}}`,
    `{{webhookUrl}}`, `{{subscriptionId}}` and `{{secret.NAME}}`.
    """

    __slots__ = ()

    @property
    def body(self) -> Any:
        """The body: JSON, in whose texts places are filled. A text alone is sent as it is."""
        return self.get("body")

    @property
    def headers(self) -> dict[str, str] | None:
        """The headers."""
        return self.get("headers")

    @property
    def method(self) -> str | None:
        """The method."""
        return self.get("method")

    @property
    def url(self) -> str:
        """The URL. What is filled in is percent-encoded."""
        return self["url"]


class RetentionSettings(Model):
    """How long the activity of an account is kept. Counted from the event's arrival and the execution's admission."""

    __slots__ = ()

    @property
    def activity_days(self) -> int | None:
        """Days after which events, ended executions and their dead letters are deleted."""
        return self.get("activityDays")

    @property
    def payload_days(self) -> int | None:
        """Days after which payloads are blanked: event data and headers, inputs, outputs, results, log lines. As long as the
        activity when absent.
        """
        return self.get("payloadDays")


class RetryPolicy(Model):
    """Retry of transient failures. Code errors, data errors and out-of-memory are never retried."""

    __slots__ = ()

    @property
    def backoff_coefficient(self) -> float | None:
        """Factor from one wait to the next."""
        return self.get("backoffCoefficient")

    @property
    def initial_interval(self) -> int | None:
        """Milliseconds before the second attempt."""
        return self.get("initialInterval")

    @property
    def max_attempts(self) -> int | None:
        """1 to 10, the first included."""
        return self.get("maxAttempts")

    @property
    def max_interval(self) -> int | None:
        """Most milliseconds between two attempts."""
        return self.get("maxInterval")


class Route(Model):
    """One way that a trigger's events take."""

    __slots__ = ()

    @property
    def environment(self) -> str | None:
        """The environment whose deployed version runs; `test` runs the latest published one."""
        return self.get("environment")

    @property
    def filter(self) -> Condition | None:
        """Only events for which this holds; all when absent."""
        return one(self, "filter", Condition)

    @property
    def headers(self) -> dict[str, str] | None:
        """Headers added to those that the workflow sees."""
        return self.get("headers")

    @property
    def workflow(self) -> str:
        """The workflow that runs."""
        return self["workflow"]


class RunAnswer(Model):
    """The answer to a run: the result of an Instant workflow, else the id to ask for."""

    __slots__ = ()

    @property
    def execution_id(self) -> str:
        """`exec_…`"""
        return self["executionId"]

    @property
    def output(self) -> Any:
        """The result of an Instant workflow that completed."""
        return self.get("output")

    @property
    def status(self) -> t.ExecutionStatus:
        """Where it stands."""
        return self["status"]


class ScheduleFired(Model):
    """What a run by hand or a backfill made."""

    __slots__ = ()

    @property
    def already_there(self) -> int:
        """Events that are there already, from the clock or from a backfill before."""
        return self["alreadyThere"]

    @property
    def event_ids(self) -> list[str]:
        """The ids of the events, one for each scheduled time; every customer that it fires for has one of its own."""
        return self["eventIds"]

    @property
    def events(self) -> int:
        """Events that were made, over all customers; with `dryRun`, that would be."""
        return self["events"]


class ScheduleView(Model):
    """A trigger that fires by the clock, and how it stands."""

    __slots__ = ()

    @property
    def cron(self) -> str | None:
        """The same as a cron expression, if there is one."""
        return self.get("cron")

    @property
    def customer(self) -> str | None:
        """The one customer it belongs to; absent for one that fires for every customer of the account."""
        return self.get("customer")

    @property
    def disabled_until(self) -> datetime | None:
        """When it is switched on again after failures."""
        return instant(self, "disabledUntil")

    @property
    def failures(self) -> int:
        """Failed fires in a row."""
        return self["failures"]

    @property
    def history(self) -> list[StatusChange] | None:
        """The last changes of its status, newest first; only when a single schedule is read."""
        return rows(self, "history", StatusChange)

    @property
    def id(self) -> str:
        """The trigger's id."""
        return self["id"]

    @property
    def last_run(self) -> datetime | None:
        """When its last run that activity still shows was admitted."""
        return instant(self, "lastRun")

    @property
    def last_status(self) -> t.ExecutionStatus | None:
        """How that one stands."""
        return self.get("lastStatus")

    @property
    def name(self) -> str | None:
        """The trigger's name."""
        return self.get("name")

    @property
    def next_run(self) -> datetime | None:
        """When it fires next, delay and jitter included; absent if it never does."""
        return instant(self, "nextRun")

    @property
    def status(self) -> t.Switch:
        """Whether it fires."""
        return self["status"]

    @property
    def timezone(self) -> str:
        """The time zone."""
        return self["timezone"]

    @property
    def upcoming(self) -> list[datetime] | None:
        """The next scheduled times; only when a single schedule is read."""
        return self.get("upcoming")

    @property
    def when(self) -> When:
        """When it fires."""
        return one(self, "when", When)


class SecretView(Model):
    """A secret as it is listed."""

    __slots__ = ()

    @property
    def customer(self) -> str | None:
        """The one customer it belongs to; absent for the whole account."""
        return self.get("customer")

    @property
    def name(self) -> str:
        """UPPER_SNAKE_CASE."""
        return self["name"]

    @property
    def updated_at(self) -> datetime:
        """When it was last written."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def version(self) -> int:
        """1, 2, … : grows with each write."""
        return self["version"]


class Singleton(Model):
    """One execution at a time, from its admission to its end."""

    __slots__ = ()

    @property
    def key(self) -> str | None:
        """One for each value of this path; one for all when absent."""
        return self.get("key")

    @property
    def mode(self) -> t.SingletonMode:
        """What becomes of an event while one has not ended."""
        return self["mode"]


class StartReplay(Model):
    """A replay to preview or to start."""

    __slots__ = ()

    @property
    def from_(self) -> t.ReplayFrom | None:
        """From where; events always run from the start."""
        return self.get("from")

    @property
    def limit(self) -> int | None:
        """At most so many, newest first; 1,000,000 when absent."""
        return self.get("limit")

    @property
    def rate_per_second(self) -> int | None:
        """How many are started a second; 10 when absent."""
        return self.get("ratePerSecond")

    @property
    def select(self) -> ReplaySelection:
        """What."""
        return one(self, "select", ReplaySelection)

    @property
    def version(self) -> int | None:
        """The version to run; each one's own when absent, the latest with 0. Events run what is deployed."""
        return self.get("version")


class StatusChange(Model):
    """A change of a schedule's status."""

    __slots__ = ()

    @property
    def at(self) -> datetime:
        """When."""
        return instant(self, "at")  # type: ignore[return-value]

    @property
    def automatic(self) -> bool:
        """Whether the platform made it, and not a person or program."""
        return self["automatic"]

    @property
    def reason(self) -> str:
        """Why."""
        return self["reason"]

    @property
    def status(self) -> t.Switch:
        """The status since then."""
        return self["status"]


class StepView(Model):
    """One step of an execution: a `ctx.step`, an outside call, a sleep …"""

    __slots__ = ()

    @property
    def attempts(self) -> int:
        """Attempts so far."""
        return self["attempts"]

    @property
    def duration_ms(self) -> int:
        """Milliseconds it took."""
        return self["durationMs"]

    @property
    def error(self) -> str | None:
        """Why it failed."""
        return self.get("error")

    @property
    def input(self) -> Any:
        """What went in; secrets masked, cut at a limit."""
        return self.get("input")

    @property
    def key(self) -> str:
        """Its key within the execution: name and occurrence."""
        return self["key"]

    @property
    def kind(self) -> str:
        """`step`, `fetch`, `sleep`, `wait_for_event`, `emit`, `approval`, `invoke`, `state_get`, `state_set`, `state_delete`,
        `secret_get`, `config_get`, `connector`.
        """
        return self["kind"]

    @property
    def name(self) -> str:
        """Its name."""
        return self["name"]

    @property
    def output(self) -> Any:
        """What came out; secrets masked, cut at a limit."""
        return self.get("output")

    @property
    def started_at(self) -> datetime:
        """When it began."""
        return instant(self, "startedAt")  # type: ignore[return-value]

    @property
    def status(self) -> Literal["completed", "failed", "waiting"]:
        """`completed`, `failed` or `waiting`."""
        return self["status"]


class StoredAlertRule(Model):
    """What is watched, when it is too much or too little, and who is told.

    A new rule is paused, has no channels, and watches for an error rate above 5 % over 24 hours.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def channels(self) -> list[AlertChannel] | None:
        """Who is told when it fires and when it is resolved."""
        return rows(self, "channels", AlertChannel)

    @property
    def comparison(self) -> t.AlertComparison | None:
        """Which side of the threshold is bad."""
        return self.get("comparison")

    @property
    def connector(self) -> str | None:
        """Only outside calls to this host, e.g. `api.github.com`, or of the connector with this slug. The rule then counts
        calls, not executions.
        """
        return self.get("connector")

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def customer(self) -> str | None:
        """Only what concerns this customer; every customer of the account together when absent."""
        return self.get("customer")

    @property
    def description(self) -> str | None:
        """What to do when it fires, for whoever is told."""
        return self.get("description")

    @property
    def dimension(self) -> t.Dimension | None:
        """Of quota use: which quota. Events per day or minute, workflows, or triggers."""
        return self.get("dimension")

    @property
    def hold(self) -> str | None:
        """For how long it must be bad before the rule fires, e.g. `5m`; `0s` fires at once."""
        return self.get("hold")

    @property
    def id(self) -> str:
        """Stable id."""
        return self["id"]

    @property
    def metric(self) -> t.AlertMetric | None:
        """What is measured."""
        return self.get("metric")

    @property
    def min_samples(self) -> int | None:
        """Rates and latencies of fewer executions or calls than this mean nothing: the rule does not fire on them."""
        return self.get("minSamples")

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def resolve_after(self) -> str | None:
        """For how long it must be good before the rule is resolved."""
        return self.get("resolveAfter")

    @property
    def resolve_threshold(self) -> float | None:
        """The value at which it is good again; the threshold itself when absent. A distance between the two keeps a value that
        moves around the threshold from firing again and again.
        """
        return self.get("resolveThreshold")

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def silenced_until(self) -> datetime | None:
        """Nobody is told before this instant. It is evaluated all the same, and if it still fires then, its channels are told."""
        return instant(self, "silencedUntil")

    @property
    def status(self) -> t.AlertStatus | None:
        """Whether it is evaluated."""
        return self.get("status")

    @property
    def threshold(self) -> float | None:
        """In the metric's unit: percent, milliseconds, or a number."""
        return self.get("threshold")

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def window(self) -> str | None:
        """How far back is counted, from `1m` to `30d`. Depth, lag and quota use are as they are now."""
        return self.get("window")

    @property
    def workflow(self) -> str | None:
        """Only executions of this workflow."""
        return self.get("workflow")


class StoredApp(Model):
    """A connector app that sends the events of all its accounts to one URL, `/v1/apps/<endpoint>/events`.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def challenge(self) -> Challenge | None:
        """A handshake that the app asks for, beside the one of its scheme."""
        return one(self, "challenge", Challenge)

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def description(self) -> str | None:
        """What it is."""
        return self.get("description")

    @property
    def endpoint(self) -> str | None:
        """The part of the public URL that stands for it. A new random one when it is absent and the app is new; it stays as
        it is when it is absent later.
        """
        return self.get("endpoint")

    @property
    def event_key(self) -> str | None:
        """Path of the event's id in a payload, e.g. `subscriptionType`. A payload that is an array holds one event in each
        element. Without it, every trigger of the app hears every payload.
        """
        return self.get("eventKey")

    @property
    def events(self) -> list[AppEvent] | None:
        """The events that it sends. A payload that names another one starts nothing."""
        return rows(self, "events", AppEvent)

    @property
    def id(self) -> str:
        """Stable id, by which triggers name it, e.g. `hubspot`."""
        return self["id"]

    @property
    def mapped_to(self) -> str | None:
        """Path in a payload of the account that it is about, e.g. `portalId`: it goes to the triggers with this `accountId`,
        and a payload without it goes nowhere. Without `mappedTo` a payload goes to the triggers of all accounts.
        """
        return self.get("mappedTo")

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def status(self) -> t.Switch | None:
        """Whether its URL takes anything."""
        return self.get("status")

    @property
    def subscription(self) -> Subscription | None:
        """How a trigger of this app is made known to the app; not at all when absent."""
        return one(self, "subscription", Subscription)

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def verification(self) -> Verification | None:
        """How the app proves itself. Its secrets are the account's own."""
        return one(self, "verification", Verification)


class StoredCustomer(Model):
    """A customer (tenant) of the account.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def concurrency(self) -> int | None:
        """Most executions that run at once; the others wait in the customer's queue."""
        return self.get("concurrency")

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def encrypt_log(self) -> bool | None:
        """Seal the payloads of its records in the log under a data key of its own: event data and headers, inputs, results,
        outputs, state. Erasing the customer then makes them unreadable at once, in backups too; until then they are
        unreadable to whoever consumes the topics beside fastn.
        """
        return self.get("encryptLog")

    @property
    def id(self) -> str:
        """Stable id; the SaaS's own is welcome. Letters, digits and `-_.:@`."""
        return self["id"]

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def quotas(self) -> Quotas | None:
        """Limits of its own, which go before those of its tier and of the account's plan."""
        return one(self, "quotas", Quotas)

    @property
    def region(self) -> t.Region | None:
        """Where its events, executions and secrets are kept; the cell that was asked when absent. Every other cell answers
        requests for it with 421 and the base URL of its own.
        """
        return self.get("region")

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def status(self) -> t.CustomerStatus | None:
        """Whether its events start executions."""
        return self.get("status")

    @property
    def tier(self) -> str | None:
        """The tier that it is on."""
        return self.get("tier")

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def weight(self) -> int | None:
        """Share in the fair queue beside other customers; that of its tier when absent, and 1 without one."""
        return self.get("weight")


class StoredCustomerTier(Model):
    """A tier of customers: limits that go before the plan's, and a share in the fair queue.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def id(self) -> str:
        """Stable id."""
        return self["id"]

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def quotas(self) -> Quotas | None:
        """Its limits."""
        return one(self, "quotas", Quotas)

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def weight(self) -> int | None:
        """Share in the fair queue of a customer that names none itself."""
        return self.get("weight")


class StoredDeployment(Model):
    """Which version of a workflow runs in an environment. The built-in environment `test` needs none: it runs the latest.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def environment(self) -> str:
        """The environment, e.g. `live`."""
        return self["environment"]

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def version(self) -> int:
        """The version that runs there."""
        return self["version"]

    @property
    def workflow(self) -> str:
        """The workflow."""
        return self["workflow"]


class StoredEnvConfig(Model):
    """A configuration value that workflows read with `fastn.envConfig.get`.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def environment(self) -> str | None:
        """The environment it holds in."""
        return self.get("environment")

    @property
    def key(self) -> str:
        """The key."""
        return self["key"]

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]

    @property
    def value(self) -> Any:
        """The value."""
        return self["value"]


class StoredPlan(Model):
    """A plan: what holds for every customer of an account that has it. `free` and `unlimited` are there from the start.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def id(self) -> str:
        """Stable id."""
        return self["id"]

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def quotas(self) -> Quotas | None:
        """Its limits."""
        return one(self, "quotas", Quotas)

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]


class StoredQuotaSettings(Model):
    """Which plan the account has.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def plan(self) -> str:
        """The plan's id; `unlimited` until somebody chooses another."""
        return self["plan"]

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]


class StoredWorkflow(Model):
    """A workflow: its settings. Its code is published as immutable versions.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def description(self) -> str | None:
        """What it does."""
        return self.get("description")

    @property
    def escalate_on_timeout(self) -> bool | None:
        """On timeout, go on one tier up instead of ending (instant to standard, standard to long)."""
        return self.get("escalateOnTimeout")

    @property
    def flow(self) -> FlowControl | None:
        """What holds its executions back."""
        return one(self, "flow", FlowControl)

    @property
    def id(self) -> str:
        """Stable id, e.g. `triage` or `wf_3f2a9c0d1b7e`."""
        return self["id"]

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def retry(self) -> RetryPolicy | None:
        """Retry of transient failures; when absent the trigger's attempts count."""
        return one(self, "retry", RetryPolicy)

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def status(self) -> t.Switch | None:
        """Whether new runs start."""
        return self.get("status")

    @property
    def tier(self) -> t.Tier | None:
        """How it answers and how long it may take."""
        return self.get("tier")

    @property
    def timeout_ms(self) -> int | None:
        """Most milliseconds of running; the tier's own limit when absent, and never above it."""
        return self.get("timeoutMs")

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]


class Subscription(Model):
    """The requests that make a trigger known to its app."""

    __slots__ = ()

    @property
    def id_path(self) -> str | None:
        """Path in the answer to `subscribe` of the subscription's id, for `{{subscriptionId}}` in `unsubscribe`."""
        return self.get("idPath")

    @property
    def subscribe(self) -> RequestTemplate:
        """Made when a trigger is created or its event or account is changed."""
        return one(self, "subscribe", RequestTemplate)

    @property
    def unsubscribe(self) -> RequestTemplate | None:
        """Made before a trigger is deleted, and for the old event or account before a change."""
        return one(self, "unsubscribe", RequestTemplate)


class SubscriptionView(Model):
    """The subscription of one app-event trigger, apart from the trigger's own status."""

    __slots__ = ()

    @property
    def account_id(self) -> str | None:
        """The account that it is for."""
        return self.get("accountId")

    @property
    def asked_at(self) -> datetime | None:
        """When it was asked last."""
        return instant(self, "askedAt")

    @property
    def attempts(self) -> int | None:
        """How often the app was asked to subscribe."""
        return self.get("attempts")

    @property
    def detail(self) -> str | None:
        """What the app answered, or why it could not be asked."""
        return self.get("detail")

    @property
    def event(self) -> str | None:
        """The event that it is for."""
        return self.get("event")

    @property
    def state(self) -> t.SubscriptionState:
        """Where it stands."""
        return self["state"]

    @property
    def subscription_id(self) -> str | None:
        """The app's own id of the subscription."""
        return self.get("subscriptionId")

    @property
    def trigger(self) -> str:
        """The trigger."""
        return self["trigger"]


class TriggerSource(Model):
    """What a trigger listens to."""

    __slots__ = ()

    @property
    def challenge(self) -> Challenge | None:
        """A handshake that the sender asks for, beside the one of its scheme."""
        return one(self, "challenge", Challenge)

    @property
    def type(self) -> Literal["webhook", "appEvent", "event", "schedule", "poll"]:
        """Always `webhook`."""
        return self["type"]

    @property
    def verification(self) -> Verification | None:
        """How the sender proves itself."""
        return one(self, "verification", Verification)

    @property
    def account_id(self) -> str | None:
        """The customer's account at the app: only events of this account come here. Required where the app says in its
        events whose they are.
        """
        return self.get("accountId")

    @property
    def app(self) -> str | None:
        """The app; it cannot be changed."""
        return self.get("app")

    @property
    def event(self) -> str | None:
        """One of the app's events."""
        return self.get("event")

    @property
    def types(self) -> list[str] | None:
        """The types, e.g. `order.created` or `order.*`."""
        return self.get("types")

    @property
    def auto_disable(self) -> AutoDisable | None:
        """When failures switch it off."""
        return one(self, "autoDisable", AutoDisable)

    @property
    def catch_up(self) -> CatchUp | None:
        """What becomes of fires that no node was there to make."""
        return one(self, "catchUp", CatchUp)

    @property
    def delay_minutes(self) -> int | None:
        """Each fire is put off by so many minutes: 0 to 1,440."""
        return self.get("delayMinutes")

    @property
    def ends_at(self) -> datetime | None:
        """RFC 3339; it does not fire at this instant or later."""
        return instant(self, "endsAt")

    @property
    def jitter_seconds(self) -> int | None:
        """Each fire is put off by up to so many seconds, always the same for the same fire: 0 to 3,600."""
        return self.get("jitterSeconds")

    @property
    def overlap(self) -> t.Overlap | None:
        """What becomes of a fire while a run of an earlier one has not ended."""
        return self.get("overlap")

    @property
    def payload(self) -> Any:
        """Becomes `ctx.input`; an empty object when absent."""
        return self.get("payload")

    @property
    def run_immediately(self) -> bool | None:
        """Fire once when the trigger is created, beside the times of `when`."""
        return self.get("runImmediately")

    @property
    def starts_at(self) -> datetime | None:
        """RFC 3339; it does not fire before. An interval is counted from here."""
        return instant(self, "startsAt")

    @property
    def timezone(self) -> str | None:
        """An IANA time zone, e.g. `Europe/Berlin`."""
        return self.get("timezone")

    @property
    def when(self) -> When | None:
        """When it fires."""
        return one(self, "when", When)

    @property
    def compare(self) -> Compare | None:
        """What of a record is compared."""
        return one(self, "compare", Compare)

    @property
    def detect_deletes(self) -> bool | None:
        """Whether a record that a complete listing no longer has was deleted."""
        return self.get("detectDeletes")

    @property
    def entity(self) -> str | None:
        """What a record is, e.g. `contact`; the first part of the events' types."""
        return self.get("entity")

    @property
    def incremental(self) -> Incremental | None:
        """Ask only for what is newer than the poll before. Then deletions are not seen."""
        return one(self, "incremental", Incremental)

    @property
    def initial(self) -> t.Initial | None:
        """What the first listing does."""
        return self.get("initial")

    @property
    def interval(self) -> PollInterval | None:
        """How often."""
        return one(self, "interval", PollInterval)

    @property
    def key(self) -> str | None:
        """Path in a record of what tells it from others, e.g. `id`: a text or a number."""
        return self.get("key")

    @property
    def paging(self) -> Paging | None:
        """How the next page is asked for."""
        return one(self, "paging", Paging)

    @property
    def records(self) -> str | None:
        """Path in an answer of the array of records, e.g. `data.items`; the answer itself when empty."""
        return self.get("records")

    @property
    def request(self) -> PollRequest | None:
        """The request for a page of records."""
        return one(self, "request", PollRequest)


class TriggerSourceAppEvent(Model):
    """Events of a connector app for one customer, with that customer's account at the app."""

    __slots__ = ()

    @property
    def account_id(self) -> str | None:
        """The customer's account at the app: only events of this account come here. Required where the app says in its
        events whose they are.
        """
        return self.get("accountId")

    @property
    def app(self) -> str:
        """The app; it cannot be changed."""
        return self["app"]

    @property
    def event(self) -> str:
        """One of the app's events."""
        return self["event"]

    @property
    def type(self) -> Literal["appEvent"]:
        """Always `appEvent`."""
        return self["type"]


class TriggerSourceEvent(Model):
    """Events sent through the API whose type is one of these; `*` at the end stands for any rest."""

    __slots__ = ()

    @property
    def type(self) -> Literal["event"]:
        """Always `event`."""
        return self["type"]

    @property
    def types(self) -> list[str]:
        """The types, e.g. `order.created` or `order.*`."""
        return self["types"]


class TriggerSourcePoll(Model):
    """Changes at a source that is polled."""

    __slots__ = ()

    @property
    def compare(self) -> Compare | None:
        """What of a record is compared."""
        return one(self, "compare", Compare)

    @property
    def detect_deletes(self) -> bool | None:
        """Whether a record that a complete listing no longer has was deleted."""
        return self.get("detectDeletes")

    @property
    def entity(self) -> str:
        """What a record is, e.g. `contact`; the first part of the events' types."""
        return self["entity"]

    @property
    def incremental(self) -> Incremental | None:
        """Ask only for what is newer than the poll before. Then deletions are not seen."""
        return one(self, "incremental", Incremental)

    @property
    def initial(self) -> t.Initial | None:
        """What the first listing does."""
        return self.get("initial")

    @property
    def interval(self) -> PollInterval | None:
        """How often."""
        return one(self, "interval", PollInterval)

    @property
    def key(self) -> str:
        """Path in a record of what tells it from others, e.g. `id`: a text or a number."""
        return self["key"]

    @property
    def paging(self) -> Paging | None:
        """How the next page is asked for."""
        return one(self, "paging", Paging)

    @property
    def records(self) -> str | None:
        """Path in an answer of the array of records, e.g. `data.items`; the answer itself when empty."""
        return self.get("records")

    @property
    def request(self) -> PollRequest:
        """The request for a page of records."""
        return one(self, "request", PollRequest)

    @property
    def type(self) -> Literal["poll"]:
        """Always `poll`."""
        return self["type"]


class TriggerSourceSchedule(Model):
    """The clock."""

    __slots__ = ()

    @property
    def auto_disable(self) -> AutoDisable | None:
        """When failures switch it off."""
        return one(self, "autoDisable", AutoDisable)

    @property
    def catch_up(self) -> CatchUp | None:
        """What becomes of fires that no node was there to make."""
        return one(self, "catchUp", CatchUp)

    @property
    def delay_minutes(self) -> int | None:
        """Each fire is put off by so many minutes: 0 to 1,440."""
        return self.get("delayMinutes")

    @property
    def ends_at(self) -> datetime | None:
        """RFC 3339; it does not fire at this instant or later."""
        return instant(self, "endsAt")

    @property
    def jitter_seconds(self) -> int | None:
        """Each fire is put off by up to so many seconds, always the same for the same fire: 0 to 3,600."""
        return self.get("jitterSeconds")

    @property
    def overlap(self) -> t.Overlap | None:
        """What becomes of a fire while a run of an earlier one has not ended."""
        return self.get("overlap")

    @property
    def payload(self) -> Any:
        """Becomes `ctx.input`; an empty object when absent."""
        return self.get("payload")

    @property
    def run_immediately(self) -> bool | None:
        """Fire once when the trigger is created, beside the times of `when`."""
        return self.get("runImmediately")

    @property
    def starts_at(self) -> datetime | None:
        """RFC 3339; it does not fire before. An interval is counted from here."""
        return instant(self, "startsAt")

    @property
    def timezone(self) -> str:
        """An IANA time zone, e.g. `Europe/Berlin`."""
        return self["timezone"]

    @property
    def type(self) -> Literal["schedule"]:
        """Always `schedule`."""
        return self["type"]

    @property
    def when(self) -> When:
        """When it fires."""
        return one(self, "when", When)


class TriggerSourceWebhook(Model):
    """Requests to `/v1/webhooks/<trigger id>`."""

    __slots__ = ()

    @property
    def challenge(self) -> Challenge | None:
        """A handshake that the sender asks for, beside the one of its scheme."""
        return one(self, "challenge", Challenge)

    @property
    def type(self) -> Literal["webhook"]:
        """Always `webhook`."""
        return self["type"]

    @property
    def verification(self) -> Verification | None:
        """How the sender proves itself."""
        return one(self, "verification", Verification)


class TriggerView(Model):
    """What starts workflows.

    As it is stored: with its revision, and when it was written.
    """

    __slots__ = ()

    @property
    def backoff(self) -> t.Backoff | None:
        """How the wait grows from one attempt to the next."""
        return self.get("backoff")

    @property
    def created_at(self) -> datetime:
        """When it was created."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def customer(self) -> str | None:
        """The one customer it belongs to; absent for one that serves every customer of the account."""
        return self.get("customer")

    @property
    def deduplication_key(self) -> str | None:
        """Path of the value by which events are duplicates of each other, e.g. `data.event.id`. The event id counts anyway."""
        return self.get("deduplicationKey")

    @property
    def description(self) -> str | None:
        """What it does."""
        return self.get("description")

    @property
    def flow(self) -> FlowControl | None:
        """What holds its executions back."""
        return one(self, "flow", FlowControl)

    @property
    def id(self) -> str | None:
        """Stable id; for a webhook it is part of the public URL. A new random one when it is absent and the trigger is posted."""
        return self.get("id")

    @property
    def max_attempts(self) -> int | None:
        """Attempts of an execution whose failure is transient, the first included: 1 to 10."""
        return self.get("maxAttempts")

    @property
    def mode(self) -> t.ExecutionMode | None:
        """Whether several of its executions may run at once."""
        return self.get("mode")

    @property
    def name(self) -> str | None:
        """Name for people."""
        return self.get("name")

    @property
    def revision(self) -> int:
        """Grows with each change of this object. Send it back as `If-Match` to change only what you saw."""
        return self["revision"]

    @property
    def routes(self) -> list[Route]:
        """Where its events go; at least one."""
        return rows(self, "routes", Route)

    @property
    def sequence_key(self) -> str | None:
        """Path of the value that orders sequential executions; one queue for the whole trigger when absent."""
        return self.get("sequenceKey")

    @property
    def source(self) -> TriggerSource:
        """What it listens to."""
        return one(self, "source", TriggerSource)

    @property
    def status(self) -> t.Switch | None:
        """Whether it fires."""
        return self.get("status")

    @property
    def subscription(self) -> t.SubscriptionState | None:
        """Of an app-event trigger: whether its app knows of it, apart from the trigger's own status."""
        return self.get("subscription")

    @property
    def updated_at(self) -> datetime:
        """When it was last changed."""
        return instant(self, "updatedAt")  # type: ignore[return-value]


class UsageRow(Model):
    """What one customer used on one day."""

    __slots__ = ()

    @property
    def customer(self) -> str:
        """The customer; empty for requests of the account itself."""
        return self["customer"]

    @property
    def day(self) -> str:
        """The day, `2026-11-24`, in UTC."""
        return self["day"]

    @property
    def measure(self) -> t.Measure:
        """What was counted."""
        return self["measure"]

    @property
    def used(self) -> int:
        """How much."""
        return self["used"]


class Verification(Model):
    """How a webhook's sender proves itself."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["accessKey", "public", "github", "standardWebhooks", "svix", "stripe", "slack", "shopify", "hubspot", "twilio", "linear", "zendesk", "meta", "dropbox", "notion", "microsoftGraph", "hmac", "token", "basic", "clientCertificate"]:
        """Always `accessKey`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames | None:
        """The webhook's secret."""
        return self.get("secret")

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")

    @property
    def url(self) -> str | None:
        """The webhook's URL as HubSpot has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
        `X-Forwarded-Host` or `Host`, and the path.
        """
        return self.get("url")

    @property
    def version(self) -> t.HubspotVersion | None:
        """Which of HubSpot's three signatures is asked for."""
        return self.get("version")

    @property
    def verify_token(self) -> t.SecretNames | None:
        """The verify token that was given to Meta."""
        return self.get("verifyToken")

    @property
    def client_state(self) -> t.SecretNames | None:
        """The `clientState` that the subscription was made with."""
        return self.get("clientState")

    @property
    def algorithm(self) -> t.HmacAlgorithm | None:
        """The hash."""
        return self.get("algorithm")

    @property
    def encoding(self) -> t.SignatureEncoding | None:
        """How the signature is written."""
        return self.get("encoding")

    @property
    def header(self) -> str | None:
        """The header of the signature."""
        return self.get("header")

    @property
    def id_header(self) -> str | None:
        """The header of the delivery's id, by which a repeat is known."""
        return self.get("idHeader")

    @property
    def payload(self) -> str | None:
        """What is signed: text with `{body}` once, and `{timestamp}`, `{id}`, `{method}` and `{url}` as needed."""
        return self.get("payload")

    @property
    def prefix(self) -> str | None:
        """What stands before the signature, e.g. `sha256=`."""
        return self.get("prefix")

    @property
    def timestamp_header(self) -> str | None:
        """The header of the timestamp: Unix seconds, Unix milliseconds or RFC 3339. It must be part of `payload`."""
        return self.get("timestampHeader")

    @property
    def username(self) -> str | None:
        """The user name."""
        return self.get("username")

    @property
    def allowed(self) -> list[str] | None:
        """Fingerprints (hex, with or without colons) or subjects, any one of which is good."""
        return self.get("allowed")


class VerificationAccessKey(Model):
    """With an access key of the account in `x-fastn-access-key`."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["accessKey"]:
        """Always `accessKey`."""
        return self["scheme"]


class VerificationBasic(Model):
    """HTTP Basic."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["basic"]:
        """Always `basic`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The password."""
        return self["secret"]

    @property
    def username(self) -> str:
        """The user name."""
        return self["username"]


class VerificationClientCertificate(Model):
    """A client certificate (mTLS), checked by the proxy that ends TLS, which tells it in a header. Only for a server that
    is reached through that proxy alone, and a proxy that removes the header from what clients send.
    """

    __slots__ = ()

    @property
    def allowed(self) -> list[str]:
        """Fingerprints (hex, with or without colons) or subjects, any one of which is good."""
        return self["allowed"]

    @property
    def header(self) -> str:
        """The header that the proxy sets, e.g. `X-Client-Cert-Sha256` or `X-Client-Cert-Subject`."""
        return self["header"]

    @property
    def scheme(self) -> Literal["clientCertificate"]:
        """Always `clientCertificate`."""
        return self["scheme"]


class VerificationDropbox(Model):
    """Dropbox: `X-Dropbox-Signature`. `GET ?challenge` is answered with the challenge."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["dropbox"]:
        """Always `dropbox`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The app's secret."""
        return self["secret"]


class VerificationGithub(Model):
    """GitHub: `X-Hub-Signature-256`, HMAC-SHA-256 of the body."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["github"]:
        """Always `github`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The webhook's secret."""
        return self["secret"]


class VerificationHmac(Model):
    """An HMAC that is put together here."""

    __slots__ = ()

    @property
    def algorithm(self) -> t.HmacAlgorithm | None:
        """The hash."""
        return self.get("algorithm")

    @property
    def encoding(self) -> t.SignatureEncoding | None:
        """How the signature is written."""
        return self.get("encoding")

    @property
    def header(self) -> str:
        """The header of the signature."""
        return self["header"]

    @property
    def id_header(self) -> str | None:
        """The header of the delivery's id, by which a repeat is known."""
        return self.get("idHeader")

    @property
    def payload(self) -> str | None:
        """What is signed: text with `{body}` once, and `{timestamp}`, `{id}`, `{method}` and `{url}` as needed."""
        return self.get("payload")

    @property
    def prefix(self) -> str | None:
        """What stands before the signature, e.g. `sha256=`."""
        return self.get("prefix")

    @property
    def scheme(self) -> Literal["hmac"]:
        """Always `hmac`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The key, used as text."""
        return self["secret"]

    @property
    def timestamp_header(self) -> str | None:
        """The header of the timestamp: Unix seconds, Unix milliseconds or RFC 3339. It must be part of `payload`."""
        return self.get("timestampHeader")

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationHubspot(Model):
    """HubSpot: `X-HubSpot-Signature` (v1 and v2) or `X-HubSpot-Signature-v3`."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["hubspot"]:
        """Always `hubspot`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The app's client secret."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp of v3 may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")

    @property
    def url(self) -> str | None:
        """The webhook's URL as HubSpot has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
        `X-Forwarded-Host` or `Host`, and the path.
        """
        return self.get("url")

    @property
    def version(self) -> t.HubspotVersion | None:
        """Which of HubSpot's three signatures is asked for."""
        return self.get("version")


class VerificationLinear(Model):
    """Linear: `Linear-Signature`, and `webhookTimestamp` in the body."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["linear"]:
        """Always `linear`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The webhook's signing secret."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationMeta(Model):
    """Meta (Facebook, Instagram, WhatsApp): `X-Hub-Signature-256`. `GET ?hub.challenge` with the right
    `hub.verify_token` is answered with the challenge.
    """

    __slots__ = ()

    @property
    def scheme(self) -> Literal["meta"]:
        """Always `meta`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The app's secret."""
        return self["secret"]

    @property
    def verify_token(self) -> t.SecretNames:
        """The verify token that was given to Meta."""
        return self["verifyToken"]


class VerificationMicrosoftGraph(Model):
    """Microsoft Graph: the `clientState` of every notification. `POST ?validationToken` is answered with the token."""

    __slots__ = ()

    @property
    def client_state(self) -> t.SecretNames:
        """The `clientState` that the subscription was made with."""
        return self["clientState"]

    @property
    def scheme(self) -> Literal["microsoftGraph"]:
        """Always `microsoftGraph`."""
        return self["scheme"]


class VerificationNotion(Model):
    """Notion: `X-Notion-Signature`. The token that Notion posts first is stored as the secret, if there is none yet."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["notion"]:
        """Always `notion`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """Where the verification token is kept."""
        return self["secret"]


class VerificationPublic(Model):
    """Not at all: anybody may send."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["public"]:
        """Always `public`."""
        return self["scheme"]


class VerificationShopify(Model):
    """Shopify: `X-Shopify-Hmac-Sha256`."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["shopify"]:
        """Always `shopify`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The app's client secret."""
        return self["secret"]


class VerificationSlack(Model):
    """Slack: `X-Slack-Signature` and `X-Slack-Request-Timestamp`. A signed `url_verification` is answered with its
    challenge.
    """

    __slots__ = ()

    @property
    def scheme(self) -> Literal["slack"]:
        """Always `slack`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The app's signing secret."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationStandardWebhooks(Model):
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature` (v1)."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["standardWebhooks"]:
        """Always `standardWebhooks`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The `whsec_…` key."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationStripe(Model):
    """Stripe: `Stripe-Signature`."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["stripe"]:
        """Always `stripe`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The endpoint's `whsec_…` secret."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationSvix(Model):
    """Svix: Standard Webhooks under the names `svix-id`, `svix-timestamp`, `svix-signature`, or the standard ones."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["svix"]:
        """Always `svix`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The `whsec_…` key."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VerificationToken(Model):
    """A shared token in a header."""

    __slots__ = ()

    @property
    def header(self) -> str:
        """The header, e.g. `X-Gitlab-Token`."""
        return self["header"]

    @property
    def prefix(self) -> str | None:
        """What stands before the token, e.g. `Bearer ` with its space."""
        return self.get("prefix")

    @property
    def scheme(self) -> Literal["token"]:
        """Always `token`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The token."""
        return self["secret"]


class VerificationTwilio(Model):
    """Twilio: `X-Twilio-Signature` over the URL and the form's fields, or the URL with the body's SHA-256 in it."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["twilio"]:
        """Always `twilio`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The account's auth token."""
        return self["secret"]

    @property
    def url(self) -> str | None:
        """The webhook's URL as Twilio has it, without its query. When absent, it is made of `X-Forwarded-Proto`,
        `X-Forwarded-Host` or `Host`, and the path.
        """
        return self.get("url")


class VerificationZendesk(Model):
    """Zendesk: `X-Zendesk-Webhook-Signature` and `X-Zendesk-Webhook-Signature-Timestamp`."""

    __slots__ = ()

    @property
    def scheme(self) -> Literal["zendesk"]:
        """Always `zendesk`."""
        return self["scheme"]

    @property
    def secret(self) -> t.SecretNames:
        """The webhook's signing secret."""
        return self["secret"]

    @property
    def tolerance_seconds(self) -> int | None:
        """Seconds that the timestamp may be away from now; 300 when absent."""
        return self.get("toleranceSeconds")


class VersionView(Model):
    """A published version as the API shows it."""

    __slots__ = ()

    @property
    def created_at(self) -> datetime:
        """When it was published."""
        return instant(self, "createdAt")  # type: ignore[return-value]

    @property
    def file(self) -> str:
        """The file that errors name."""
        return self["file"]

    @property
    def source(self) -> str | None:
        """The TypeScript as it was published; only when a single version is read."""
        return self.get("source")

    @property
    def source_hash(self) -> str:
        """BLAKE3 of the source, in hex."""
        return self["sourceHash"]

    @property
    def version(self) -> int:
        """1, 2, …"""
        return self["version"]

    @property
    def workflow(self) -> str:
        """The workflow."""
        return self["workflow"]


class WaitingOn(Model):
    """What an execution that has not started waits for."""

    __slots__ = ()

    @property
    def limit(self) -> str:
        """The limit, e.g. `eventsPerMinute`, `rate`, `concurrency`, `concurrentExecutions`."""
        return self["limit"]

    @property
    def of(self) -> str:
        """Whose limit it is, e.g. `customer acme`, `trigger on_order`."""
        return self["of"]

    @property
    def text(self) -> str:
        """The whole in words."""
        return self["text"]

    @property
    def until(self) -> datetime | None:
        """When the wait ends, if the time alone ends it."""
        return instant(self, "until")


class When(Model):
    """When a schedule fires."""

    __slots__ = ()

    @property
    def every(self) -> int | None:
        """How many units: at least 1, and at most 366 days in all."""
        return self.get("every")

    @property
    def mode(self) -> Literal["interval", "daily", "weekly", "monthly", "cron"]:
        """Always `interval`."""
        return self["mode"]

    @property
    def unit(self) -> t.Unit | None:
        """Of what."""
        return self.get("unit")

    @property
    def at(self) -> str | None:
        """The time of day, `HH:MM`."""
        return self.get("at")

    @property
    def days(self) -> list[t.Weekday] | None:
        """At least one."""
        return self.get("days")

    @property
    def day(self) -> int | None:
        """1 to 31; in a month that has no such day, its last."""
        return self.get("day")

    @property
    def expression(self) -> str | None:
        """Five fields: minute, hour, day of month, month, day of week."""
        return self.get("expression")


class WhenCron(Model):
    """As a cron expression says."""

    __slots__ = ()

    @property
    def expression(self) -> str:
        """Five fields: minute, hour, day of month, month, day of week."""
        return self["expression"]

    @property
    def mode(self) -> Literal["cron"]:
        """Always `cron`."""
        return self["mode"]


class WhenDaily(Model):
    """Every day."""

    __slots__ = ()

    @property
    def at(self) -> str:
        """The time of day, `HH:MM`."""
        return self["at"]

    @property
    def mode(self) -> Literal["daily"]:
        """Always `daily`."""
        return self["mode"]


class WhenInterval(Model):
    """Again and again after the same time."""

    __slots__ = ()

    @property
    def every(self) -> int:
        """How many units: at least 1, and at most 366 days in all."""
        return self["every"]

    @property
    def mode(self) -> Literal["interval"]:
        """Always `interval`."""
        return self["mode"]

    @property
    def unit(self) -> t.Unit:
        """Of what."""
        return self["unit"]


class WhenMonthly(Model):
    """On one day of each month."""

    __slots__ = ()

    @property
    def at(self) -> str:
        """The time of day, `HH:MM`."""
        return self["at"]

    @property
    def day(self) -> int:
        """1 to 31; in a month that has no such day, its last."""
        return self["day"]

    @property
    def mode(self) -> Literal["monthly"]:
        """Always `monthly`."""
        return self["mode"]


class WhenWeekly(Model):
    """On some days of each week."""

    __slots__ = ()

    @property
    def at(self) -> str:
        """The time of day, `HH:MM`."""
        return self["at"]

    @property
    def days(self) -> list[t.Weekday]:
        """At least one."""
        return self["days"]

    @property
    def mode(self) -> Literal["weekly"]:
        """Always `weekly`."""
        return self["mode"]


__all__ = [
    "Accepted",
    "AlertChannel",
    "AlertChannelEmail",
    "AlertChannelSlack",
    "AlertChannelWebhook",
    "AlertNotice",
    "AlertNotification",
    "AlertTested",
    "AlertView",
    "AppAccepted",
    "AppEvent",
    "AutoDisable",
    "BatchWindow",
    "CapturedToken",
    "CatchUp",
    "CatchUpAll",
    "CatchUpLast",
    "CatchUpNone",
    "Challenge",
    "ChallengeWhen",
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
    "CurrentUsage",
    "DeadLetterReplay",
    "DeadLetterView",
    "DeadLettersReplayed",
    "Debounce",
    "ErasedKey",
    "ErasedLog",
    "ErasedRows",
    "ErasureStep",
    "ErasureView",
    "EventView",
    "ExecutionError",
    "ExecutionUpdate",
    "ExecutionView",
    "FlowControl",
    "Health",
    "HealthCheck",
    "Incremental",
    "Limit",
    "LogLineView",
    "Paging",
    "PagingCursor",
    "PagingLink",
    "PagingNone",
    "PagingPage",
    "PollInterval",
    "PollRequest",
    "PollView",
    "PollsAsked",
    "QuotaSettings",
    "QuotaView",
    "Quotas",
    "Rate",
    "ReplayPreview",
    "ReplayPreviewItem",
    "ReplaySelection",
    "ReplaySelectionDeadLetters",
    "ReplaySelectionEvents",
    "ReplaySelectionExecutions",
    "ReplaySkip",
    "ReplayView",
    "RequestTemplate",
    "RetentionSettings",
    "RetryPolicy",
    "Route",
    "RunAnswer",
    "ScheduleFired",
    "ScheduleView",
    "SecretView",
    "Singleton",
    "StartReplay",
    "StatusChange",
    "StepView",
    "StoredAlertRule",
    "StoredApp",
    "StoredCustomer",
    "StoredCustomerTier",
    "StoredDeployment",
    "StoredEnvConfig",
    "StoredPlan",
    "StoredQuotaSettings",
    "StoredWorkflow",
    "Subscription",
    "SubscriptionView",
    "TriggerSource",
    "TriggerSourceAppEvent",
    "TriggerSourceEvent",
    "TriggerSourcePoll",
    "TriggerSourceSchedule",
    "TriggerSourceWebhook",
    "TriggerView",
    "UsageRow",
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
    "VersionView",
    "WaitingOn",
    "When",
    "WhenCron",
    "WhenDaily",
    "WhenInterval",
    "WhenMonthly",
    "WhenWeekly",
]
