"""A method for each operation of the API, for threads and for event loops.

Derived by `generate.py`: do not edit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Literal

from . import models, types
from ._caller import AsyncCaller, Caller, part_of
from ._pages import AsyncPager, Pager


class Operations(Caller):
    """What the account, or one customer of it, has and does."""

    def alert(self, id: str, *, timeout: float | timedelta | None = None) -> models.AlertView:
        """Get an alert

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.AlertView, "GET", ("v1", "alerts", id,), timeout=timeout)

    def alert_rule(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredAlertRule:
        """Get an alert rule

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.StoredAlertRule, "GET", ("v1", "alert-rules", id,), timeout=timeout)

    def alert_rules(self, *, page_size: int | None = None) -> Pager[models.StoredAlertRule]:
        """List alert rules

        With the reach of one customer, those about it: the account's own name its channels.

        Any key may call it; one of a customer sees and changes only what is its own.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredAlertRule, "GET", ("v1", "alert-rules",), page_size=page_size)

    def alerts(
        self,
        *,
        state: Literal["firing", "silenced", "resolved"] | None = None,
        rule: str | None = None,
        page_size: int | None = None,
    ) -> Pager[models.AlertView]:
        """List alerts

        Those that fire, those that are silenced, and those that are over, newest first.

        Any key may call it; one of a customer sees and changes only what is its own.

        state: Only those that stand here.
        rule: Only those of this rule.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.AlertView, "GET", ("v1", "alerts",), query=(("state", state), ("rule", rule),), page_size=page_size)

    def app(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredApp:
        """Get an app

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.StoredApp, "GET", ("v1", "apps", id,), timeout=timeout)

    def apps(self, *, page_size: int | None = None) -> Pager[models.StoredApp]:
        """List apps

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredApp, "GET", ("v1", "apps",), page_size=page_size)

    def backfill_schedule(
        self,
        id: str,
        body: types.BackfillSchedule,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleFired:
        """Backfill a schedule

        Makes the events of all scheduled times at `from` and after it, before `to`, that are not there: at most 1,000. What
        the clock or a backfill has made before is not made again, as long as activity shows it. Jitter and delay do not
        apply. Where the overlap policy is not to allow overlap, the runs take turns.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer makes events for its customer.
        """
        return self._one(models.ScheduleFired, "POST", ("v1", "schedules", id, "backfill",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def cancel(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Cancel an execution

        Asks for its end; an outside call under way is not taken back. One that has ended cannot be cancelled.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.RunAnswer, "POST", ("v1", "executions", id, "cancel",), idempotency_key=idempotency_key, timeout=timeout)

    def cancel_replay(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayView:
        """Cancel a replay

        Nothing more is started. What was started goes on.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ReplayView, "POST", ("v1", "replays", id, "cancel",), idempotency_key=idempotency_key, timeout=timeout)

    def captured_token(
        self,
        name: str,
        *,
        customer: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.CapturedToken:
        """Show a captured token

        For an hour after a provider's handshake stored it, and only for a secret that a handshake stored.

        Any key may call it; one of a customer sees and changes only what is its own.

        customer: The one customer it belongs to; the account's own when absent.
        """
        return self._one(models.CapturedToken, "GET", ("v1", "secrets", name, "captured-token",), query=(("customer", customer),), timeout=timeout)

    def create_trigger(
        self,
        body: types.Trigger | models.TriggerView,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.TriggerView:
        """Create a trigger

        With an id of one's own, which must be new, or else a random one: the public URL of a webhook then tells nothing and
        cannot be guessed. The same idempotency key makes the same trigger.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer makes no trigger that polls or that listens to an app.
        """
        return self._one(models.TriggerView, "POST", ("v1", "triggers",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def current_usage(self, *, timeout: float | timedelta | None = None) -> models.CurrentUsage:
        """Get what is left

        Every dimension of the customer in the header, or without one of the account itself: the limit, where it comes from, what
        is used of its present window, and what is left. What is enforced and not measured has no `used`.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.CurrentUsage, "GET", ("v1", "usage", "current",), timeout=timeout)

    def customer_tier(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredCustomerTier:
        """Get a customer tier

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.StoredCustomerTier, "GET", ("v1", "customer-tiers", id,), timeout=timeout)

    def customer_tiers(self, *, page_size: int | None = None) -> Pager[models.StoredCustomerTier]:
        """List customer tiers

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredCustomerTier, "GET", ("v1", "customer-tiers",), page_size=page_size)

    def customers(self, *, page_size: int | None = None) -> Pager[models.StoredCustomer]:
        """List customers

        By id. A key of one customer sees itself only.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer sees itself.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredCustomer, "GET", ("v1", "customers",), page_size=page_size)

    def dead_letter(self, id: str, *, timeout: float | timedelta | None = None) -> models.DeadLetterView:
        """Get a dead letter

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.DeadLetterView, "GET", ("v1", "dead-letters", id,), timeout=timeout)

    def dead_letters(
        self,
        *,
        status: Literal["pending", "replayed", "expired"] | None = None,
        workflow: str | None = None,
        page_size: int | None = None,
    ) -> Pager[models.DeadLetterView]:
        """List dead letters

        Newest first.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those that stand here.
        workflow: Only those of this workflow.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.DeadLetterView, "GET", ("v1", "dead-letters",), query=(("status", status), ("workflow", workflow),), page_size=page_size)

    def decide(
        self,
        id: str,
        body: types.Decision,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Decide an approval

        Answers the approval that an execution waits for; its `ctx.approval` resolves with the decision.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.RunAnswer, "POST", ("v1", "executions", id, "decisions",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def delete_alert_rule(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete an alert rule

        An alert of it is over, and nobody is told.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        self._nothing("DELETE", ("v1", "alert-rules", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_app(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete an app

        Its URL answers 404 from now on. An app that triggers listen to is not deleted.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "apps", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_customer(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a customer

        Its events are refused from now on. What it did stays in activity until retention ends.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "customers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_customer_tier(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a customer tier

        Customers that name it are limited by the plan from now on.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "customer-tiers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_env_config(
        self,
        environment: str,
        key: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a configuration value

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "env-configs", environment, key,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_plan(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a plan

        An account that has it is limited by no plan from now on.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "plans", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_secret(
        self,
        name: str,
        *,
        customer: str | None = None,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a secret

        With every version: executions that need it fail.

        Any key may call it; one of a customer sees and changes only what is its own.

        customer: The one customer it belongs to; the account's own when absent.
        """
        self._nothing("DELETE", ("v1", "secrets", name,), query=(("customer", customer),), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_trigger(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a trigger

        Its URL answers 404 from now on. Executions that it started go on.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer deletes no trigger that listens to an app.
        """
        self._nothing("DELETE", ("v1", "triggers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def delete_workflow(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a workflow

        New runs end; running executions stay on their version and finish. Triggers that name it start nothing.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        self._nothing("DELETE", ("v1", "workflows", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def deploy(
        self,
        id: str,
        environment: str,
        version: int,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredDeployment:
        """Deploy a version to an environment

        New executions there run this version; running ones stay on theirs. Deploying an older version is the rollback.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredDeployment, "PUT", ("v1", "workflows", id, "deployments", environment,), body={"version": version}, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def deployments(self, id: str, *, page_size: int | None = None) -> Pager[models.StoredDeployment]:
        """List a workflow's deployments

        The built-in environment `test` is in it only when a version was pinned there; without that it runs the latest.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredDeployment, "GET", ("v1", "workflows", id, "deployments",), page_size=page_size)

    def env_configs(self, *, page_size: int | None = None) -> Pager[models.StoredEnvConfig]:
        """List configuration values

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredEnvConfig, "GET", ("v1", "env-configs",), page_size=page_size)

    def erase_customer(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ErasureView:
        """Erase a customer

        Its events are refused at once, and its executions, its activity, its configuration and its key go in the background;
        the answer is the proof as it grows. There is no way back. Asking again while it runs answers the same erasure.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.ErasureView, "POST", ("v1", "customers", id, "erase",), idempotency_key=idempotency_key, timeout=timeout)

    def erasure(self, id: str, *, timeout: float | timedelta | None = None) -> models.ErasureView:
        """Get an erasure

        The proof of what was destroyed where, and what remains in the log until when.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.ErasureView, "GET", ("v1", "erasures", id,), timeout=timeout)

    def erasures(self, *, page_size: int | None = None) -> Pager[models.ErasureView]:
        """List erasures

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ErasureView, "GET", ("v1", "erasures",), page_size=page_size)

    def event(self, id: str, *, timeout: float | timedelta | None = None) -> models.EventView:
        """Get an event

        With its payload. Event ids are the sender's: without the customer header, the newest with this id is shown.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.EventView, "GET", ("v1", "events", id,), timeout=timeout)

    def events(
        self,
        *,
        status: Literal["delivered", "duplicate", "unmatched", "rejected"] | None = None,
        origin: Literal["webhook", "api", "manual", "schedule", "polling", "workflow", "command"] | None = None,
        type: str | None = None,
        trigger: str | None = None,
        quota: Literal["blocked", "over", "queued", "shadowed"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> Pager[models.EventView]:
        """List events

        Newest first, without payloads. With the customer header, those of that customer only.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those of which admission made this.
        origin: Only those that came from here.
        type: Only this CloudEvents type.
        trigger: Only those that arrived at this webhook trigger.
        quota: Only those that a quota did this to.
        since: Received at or after, RFC 3339.
        until: Received before, RFC 3339.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.EventView, "GET", ("v1", "events",), query=(("status", status), ("origin", origin), ("type", type), ("trigger", trigger), ("quota", quota), ("since", since), ("until", until),), page_size=page_size)

    def execution(self, id: str, *, timeout: float | timedelta | None = None) -> models.ExecutionView:
        """Get an execution

        With input, output, every step and what it logged. Secrets are masked.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ExecutionView, "GET", ("v1", "executions", id,), timeout=timeout)

    def executions(
        self,
        *,
        status: Literal["queued", "running", "waiting", "completed", "failed", "timeout", "cancelled"] | None = None,
        workflow: str | None = None,
        trigger: str | None = None,
        event_id: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> Pager[models.ExecutionView]:
        """List executions

        Newest first, without input, output, steps and logs.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those that stand here.
        workflow: Only those of this workflow.
        trigger: Only those of this trigger.
        event_id: Only those that this event started.
        since: Admitted at or after, RFC 3339.
        until: Admitted before, RFC 3339.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ExecutionView, "GET", ("v1", "executions",), query=(("status", status), ("workflow", workflow), ("trigger", trigger), ("eventId", event_id), ("since", since), ("until", until),), page_size=page_size)

    def get_customer(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredCustomer:
        """Get a customer

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.StoredCustomer, "GET", ("v1", "customers", id,), timeout=timeout)

    def health(self, *, timeout: float | timedelta | None = None) -> models.Health:
        """Whether the process takes traffic

        Looks at the log, the store and the configuration. A process that is not ready should get no traffic.

        Needs no key.
        """
        return self._one(models.Health, "GET", ("readyz",), timeout=timeout)

    def pause_schedule(
        self,
        id: str,
        body: types.ChangeStatus | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleView:
        """Pause a schedule

        It does not fire until it is resumed. Runs that it has started go on.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ScheduleView, "POST", ("v1", "schedules", id, "pause",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def plan(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredPlan:
        """Get a plan

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.StoredPlan, "GET", ("v1", "plans", id,), timeout=timeout)

    def plans(self, *, page_size: int | None = None) -> Pager[models.StoredPlan]:
        """List plans

        Those that are configured. `free` and `unlimited` are built in.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredPlan, "GET", ("v1", "plans",), page_size=page_size)

    def poll_now(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.PollsAsked:
        """Poll at once

        For the customer named in the header, or for all that the trigger polls for. A poll that is under way is not begun again.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer asks for the polls for its customer.
        """
        return self._one(models.PollsAsked, "POST", ("v1", "triggers", id, "poll",), idempotency_key=idempotency_key, timeout=timeout)

    def polls(self, id: str, *, page_size: int | None = None) -> Pager[models.PollView]:
        """Get a trigger's polls

        How the polls of a trigger stand, by customer. One that is not in the list has not begun; it does within a second or two
        after its trigger is written.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer sees the polls for its customer.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.PollView, "GET", ("v1", "triggers", id, "poll",), page_size=page_size)

    def preview_replay(
        self,
        body: types.StartReplay,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayPreview:
        """Preview a replay

        How many would run, and what the first few of them would do: at which version, with which results kept, and which
        calls going out again. Nothing is started.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ReplayPreview, "POST", ("v1", "replays", "preview",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def publish(
        self,
        id: str,
        body: types.PublishVersion,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.VersionView:
        """Publish a version

        The code is compiled first; code that does not parse is refused with its line and column. Publishing the newest
        version's code again returns that version. A workflow that does not exist yet is created with default settings.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.VersionView, "POST", ("v1", "workflows", id, "versions",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def put_alert_rule(
        self,
        body: types.AlertRule | models.StoredAlertRule,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """Create or change an alert rule

        A rule counts from the moment that it is enabled. If what it counts changes (metric, scope or window), it begins anew and
        an alert of it is over; other changes hold from the next evaluation on.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer writes rules about its customer.
        """
        return self._one(models.StoredAlertRule, "PUT", ("v1", "alert-rules", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_app(
        self,
        body: types.App | models.StoredApp,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredApp:
        """Create or change an app

        A new app gets a random `endpoint`, which stays: its events are sent to `/v1/apps/<endpoint>/events`, a URL that tells
        nothing of the account.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredApp, "PUT", ("v1", "apps", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_customer(
        self,
        body: types.Customer | models.StoredCustomer,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredCustomer:
        """Create or change a customer

        The id is yours: use the one by which your own system knows the customer.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredCustomer, "PUT", ("v1", "customers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_customer_tier(
        self,
        body: types.CustomerTier | models.StoredCustomerTier,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredCustomerTier:
        """Create or change a customer tier

        Its limits go before the plan's, for every customer that names it. Takes effect at once.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredCustomerTier, "PUT", ("v1", "customer-tiers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_env_config(
        self,
        body: types.EnvConfig | models.StoredEnvConfig,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredEnvConfig:
        """Set a configuration value

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredEnvConfig, "PUT", ("v1", "env-configs", part_of(body, "environment"), part_of(body, "key"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_plan(
        self,
        body: types.Plan | models.StoredPlan,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredPlan:
        """Create or change a plan

        Takes effect at once for every customer whose limits come from it. One named `free` takes the place of the built-in one.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredPlan, "PUT", ("v1", "plans", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_quota_settings(
        self,
        body: types.QuotaSettings | models.StoredQuotaSettings,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredQuotaSettings:
        """Choose the account's plan

        One that is configured, `free` or `unlimited`. Takes effect at once.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredQuotaSettings, "PUT", ("v1", "quota-settings",), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_retention(
        self,
        body: types.RetentionSettings,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RetentionSettings:
        """Set the retention

        Counted from now on backwards: what is older goes with the next round, within the hour.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.RetentionSettings, "PUT", ("v1", "settings", "retention",), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_secret(
        self,
        body: types.SecretWrite,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.SecretView:
        """Write a secret

        Makes a new version. Executions that saw an older version see it again when they are replayed.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.SecretView, "PUT", ("v1", "secrets", part_of(body, "name"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_trigger(
        self,
        body: types.Trigger | models.TriggerView,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.TriggerView:
        """Create or change a trigger

        Takes effect at once, on every node. The id of a webhook trigger is part of its public URL, so ids are unique over
        all accounts. An app-event trigger makes itself known to its app; see its subscription for what the app answered.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer writes no trigger that polls or that listens to an app.
        """
        return self._one(models.TriggerView, "PUT", ("v1", "triggers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def put_workflow(
        self,
        body: types.Workflow | models.StoredWorkflow,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredWorkflow:
        """Create or change a workflow's settings

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.StoredWorkflow, "PUT", ("v1", "workflows", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def quota_settings(self, *, timeout: float | timedelta | None = None) -> models.QuotaSettings:
        """Get the account's plan

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.QuotaSettings, "GET", ("v1", "quota-settings",), timeout=timeout)

    def replay(
        self,
        id: str,
        body: types.ReplayExecution | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Replay an execution

        Runs it again as a new execution, with the same input: from the start, or from the failed step with the results
        before it kept. Effects happen again unless their receiver knows the idempotency key.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.RunAnswer, "POST", ("v1", "executions", id, "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def replay_dead_letter(
        self,
        id: str,
        body: types.ReplayExecution | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Replay a dead letter

        As a new execution. The dead letter stays, and names its replays.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.RunAnswer, "POST", ("v1", "dead-letters", id, "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def replay_dead_letters(
        self,
        body: types.ReplayDeadLetters,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.DeadLettersReplayed:
        """Replay many dead letters

        Those named in `ids`, or those that are pending, newest first, up to `limit`. The answer tells how many were started.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.DeadLettersReplayed, "POST", ("v1", "dead-letters", "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def replay_event(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Replay a refused event

        Takes an event that a quota refused once more, with the same id: it is judged by the limits as they are now, and counts
        now. Twice is once. An event that was admitted is not taken again; replay its executions instead.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.Accepted, "POST", ("v1", "events", id, "replay",), idempotency_key=idempotency_key, timeout=timeout)

    def replay_job(self, id: str, *, timeout: float | timedelta | None = None) -> models.ReplayView:
        """Get a replay

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ReplayView, "GET", ("v1", "replays", id,), timeout=timeout)

    def replays(self, *, page_size: int | None = None) -> Pager[models.ReplayView]:
        """List replays

        By id. A key of one customer sees those of its own only.

        Any key may call it; one of a customer sees and changes only what is its own.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ReplayView, "GET", ("v1", "replays",), page_size=page_size)

    def reset_polls(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Forget what was listed

        The next poll, which is due now, is as the first one: `initial` says whether its records are told as created.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        self._nothing("DELETE", ("v1", "triggers", id, "poll",), idempotency_key=idempotency_key, timeout=timeout)

    def resume_schedule(
        self,
        id: str,
        body: types.ChangeStatus | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleView:
        """Resume a schedule

        It fires again from now on; what it would have fired while it was paused is left out. Failures in a row are counted
        from zero, and a cooldown ends.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ScheduleView, "POST", ("v1", "schedules", id, "resume",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def retention(self, *, timeout: float | timedelta | None = None) -> models.RetentionSettings:
        """Get the retention

        How long activity and payloads are kept; the built-in default while nobody has set it.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.RetentionSettings, "GET", ("v1", "settings", "retention",), timeout=timeout)

    def retry_subscription(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.SubscriptionView:
        """Ask the app again to subscribe

        For a trigger whose subscription failed or was never made. One that is subscribed stays as it is.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return self._one(models.SubscriptionView, "POST", ("v1", "triggers", id, "retry-subscription",), idempotency_key=idempotency_key, timeout=timeout)

    def run_schedule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleFired:
        """Run a schedule now

        Makes one event beside those of the clock, for the customer named in the header or for every customer that the
        schedule fires for. The time of its next fire does not change. Runs by hand do not count as failures in a row.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer makes an event for its customer.
        """
        return self._one(models.ScheduleFired, "POST", ("v1", "schedules", id, "run",), idempotency_key=idempotency_key, timeout=timeout)

    def schedule(self, id: str, *, timeout: float | timedelta | None = None) -> models.ScheduleView:
        """Get a schedule

        With the next scheduled times and the last 20 changes of its status; changes by the platform are marked.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.ScheduleView, "GET", ("v1", "schedules", id,), timeout=timeout)

    def schedules(self, *, page_size: int | None = None) -> Pager[models.ScheduleView]:
        """List schedules

        Triggers that fire by the clock, by id, with their next and last runs and failures.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ScheduleView, "GET", ("v1", "schedules",), page_size=page_size)

    def secrets(self, *, page_size: int | None = None) -> Pager[models.SecretView]:
        """List secrets

        Names and versions; values are never shown.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. Names and versions; no key reads a value.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.SecretView, "GET", ("v1", "secrets",), page_size=page_size)

    def send_app_event(
        self,
        body: types.SendAppEvents,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.AppAccepted:
        """Send app events

        Events of a connector app that the SaaS backend sends itself: one, or an array of them, all or none. An event goes to
        the customer that it names, or to those whose triggers have its account.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer sends events of its customer.
        """
        return self._one(models.AppAccepted, "POST", ("v1", "app-events",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def silence_alert_rule(
        self,
        id: str,
        duration: str | timedelta,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """Silence an alert rule

        Nobody is told for so long. The rule is evaluated all the same, and if it still fires then, its channels are told.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.StoredAlertRule, "POST", ("v1", "alert-rules", id, "silence",), body={"duration": duration}, idempotency_key=idempotency_key, timeout=timeout)

    def start_replay(
        self,
        body: types.StartReplay,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayView:
        """Start a replay

        Runs in the background, at its rate, whichever node dies meanwhile. Each item is started once.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.ReplayView, "POST", ("v1", "replays",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    def subscription(self, id: str, *, timeout: float | timedelta | None = None) -> models.SubscriptionView:
        """Get a trigger's subscription

        Whether the connector app knows of the trigger, apart from the trigger's own status.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.SubscriptionView, "GET", ("v1", "triggers", id, "subscription",), timeout=timeout)

    def test_alert_rule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.AlertTested:
        """Test the channels of an alert rule

        Sends each channel a message of the type `alert.test`, once, and tells what became of it.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.AlertTested, "POST", ("v1", "alert-rules", id, "test",), idempotency_key=idempotency_key, timeout=timeout)

    def trigger(self, id: str, *, timeout: float | timedelta | None = None) -> models.TriggerView:
        """Get a trigger

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.TriggerView, "GET", ("v1", "triggers", id,), timeout=timeout)

    def triggers(self, *, page_size: int | None = None) -> Pager[models.TriggerView]:
        """List triggers

        An app-event trigger says whether its app knows of it (`subscription`), apart from its status.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.TriggerView, "GET", ("v1", "triggers",), page_size=page_size)

    def unsilence_alert_rule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """End the silence of an alert rule

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return self._one(models.StoredAlertRule, "POST", ("v1", "alert-rules", id, "unsilence",), idempotency_key=idempotency_key, timeout=timeout)

    def usage(
        self,
        *,
        measure: Literal["events", "events_blocked", "events_over", "executions", "steps", "api_calls"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> Pager[models.UsageRow]:
        """List usage

        By customer, day of UTC and measure, the newest day first; with the customer header, that customer's only. Events count on
        the day on which they became durable. It is a view of the log, a moment behind it, and kept for 400 days.

        Any key may call it; one of a customer sees and changes only what is its own.

        measure: Only this.
        since: From the day that holds this instant, RFC 3339.
        until: To the day that holds this instant, included.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.UsageRow, "GET", ("v1", "usage",), query=(("measure", measure), ("since", since), ("until", until),), page_size=page_size)

    def version(self, id: str, version: int, *, timeout: float | timedelta | None = None) -> models.VersionView:
        """Get a version

        With its source.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. With its source.
        """
        return self._one(models.VersionView, "GET", ("v1", "workflows", id, "versions", version,), timeout=timeout)

    def versions(self, id: str, *, page_size: int | None = None) -> Pager[models.VersionView]:
        """List versions

        Newest first, without their source.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.VersionView, "GET", ("v1", "workflows", id, "versions",), page_size=page_size)

    def workflow(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredWorkflow:
        """Get a workflow

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return self._one(models.StoredWorkflow, "GET", ("v1", "workflows", id,), timeout=timeout)

    def workflows(self, *, page_size: int | None = None) -> Pager[models.StoredWorkflow]:
        """List workflows

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredWorkflow, "GET", ("v1", "workflows",), page_size=page_size)


class CustomerOperations(Operations):
    """What needs a customer, beside that."""

    def run(
        self,
        id: str,
        input: Any = None,
        *,
        environment: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Run a workflow

        For the customer named in the header. An Instant workflow answers 200 with its result, or with the error that it ended
        with; the others answer 202 with the execution's id. With an `Idempotency-Key`, a repeat returns the first execution.

        Any key may call it; one of the account names the customer in `x-fastn-account-tenant-id`.
        """
        return self._one(models.RunAnswer, "POST", ("v1", "workflows", id, "run",), body={key: value for key, value in {"environment": environment, "input": input}.items() if value is not None}, idempotency_key=idempotency_key, timeout=timeout)

    def send(
        self,
        event: types.SendEvents,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Send events

        Takes one event as `application/json`, a CloudEvent in structured mode (`application/cloudevents+json`), a batch
        (`application/cloudevents-batch+json`), or a CloudEvent in binary mode (`ce-…` headers). `Content-Encoding: gzip` is
        understood. The answer is 202 only once the events are durable. An id that was seen within the window is admitted
        once, so a repeat is safe.

        Any key may call it; one of the account names the customer in `x-fastn-account-tenant-id`.
        """
        return self._one(models.Accepted, "POST", ("v1", "events",), body=event, idempotency_key=idempotency_key, timeout=timeout)


class AsyncOperations(AsyncCaller):
    """What the account, or one customer of it, has and does."""

    async def alert(self, id: str, *, timeout: float | timedelta | None = None) -> models.AlertView:
        """Get an alert

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.AlertView, "GET", ("v1", "alerts", id,), timeout=timeout)

    async def alert_rule(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredAlertRule:
        """Get an alert rule

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.StoredAlertRule, "GET", ("v1", "alert-rules", id,), timeout=timeout)

    def alert_rules(self, *, page_size: int | None = None) -> AsyncPager[models.StoredAlertRule]:
        """List alert rules

        With the reach of one customer, those about it: the account's own name its channels.

        Any key may call it; one of a customer sees and changes only what is its own.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredAlertRule, "GET", ("v1", "alert-rules",), page_size=page_size)

    def alerts(
        self,
        *,
        state: Literal["firing", "silenced", "resolved"] | None = None,
        rule: str | None = None,
        page_size: int | None = None,
    ) -> AsyncPager[models.AlertView]:
        """List alerts

        Those that fire, those that are silenced, and those that are over, newest first.

        Any key may call it; one of a customer sees and changes only what is its own.

        state: Only those that stand here.
        rule: Only those of this rule.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.AlertView, "GET", ("v1", "alerts",), query=(("state", state), ("rule", rule),), page_size=page_size)

    async def app(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredApp:
        """Get an app

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.StoredApp, "GET", ("v1", "apps", id,), timeout=timeout)

    def apps(self, *, page_size: int | None = None) -> AsyncPager[models.StoredApp]:
        """List apps

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredApp, "GET", ("v1", "apps",), page_size=page_size)

    async def backfill_schedule(
        self,
        id: str,
        body: types.BackfillSchedule,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleFired:
        """Backfill a schedule

        Makes the events of all scheduled times at `from` and after it, before `to`, that are not there: at most 1,000. What
        the clock or a backfill has made before is not made again, as long as activity shows it. Jitter and delay do not
        apply. Where the overlap policy is not to allow overlap, the runs take turns.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer makes events for its customer.
        """
        return await self._one(models.ScheduleFired, "POST", ("v1", "schedules", id, "backfill",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def cancel(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Cancel an execution

        Asks for its end; an outside call under way is not taken back. One that has ended cannot be cancelled.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.RunAnswer, "POST", ("v1", "executions", id, "cancel",), idempotency_key=idempotency_key, timeout=timeout)

    async def cancel_replay(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayView:
        """Cancel a replay

        Nothing more is started. What was started goes on.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ReplayView, "POST", ("v1", "replays", id, "cancel",), idempotency_key=idempotency_key, timeout=timeout)

    async def captured_token(
        self,
        name: str,
        *,
        customer: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.CapturedToken:
        """Show a captured token

        For an hour after a provider's handshake stored it, and only for a secret that a handshake stored.

        Any key may call it; one of a customer sees and changes only what is its own.

        customer: The one customer it belongs to; the account's own when absent.
        """
        return await self._one(models.CapturedToken, "GET", ("v1", "secrets", name, "captured-token",), query=(("customer", customer),), timeout=timeout)

    async def create_trigger(
        self,
        body: types.Trigger | models.TriggerView,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.TriggerView:
        """Create a trigger

        With an id of one's own, which must be new, or else a random one: the public URL of a webhook then tells nothing and
        cannot be guessed. The same idempotency key makes the same trigger.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer makes no trigger that polls or that listens to an app.
        """
        return await self._one(models.TriggerView, "POST", ("v1", "triggers",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def current_usage(self, *, timeout: float | timedelta | None = None) -> models.CurrentUsage:
        """Get what is left

        Every dimension of the customer in the header, or without one of the account itself: the limit, where it comes from, what
        is used of its present window, and what is left. What is enforced and not measured has no `used`.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.CurrentUsage, "GET", ("v1", "usage", "current",), timeout=timeout)

    async def customer_tier(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredCustomerTier:
        """Get a customer tier

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.StoredCustomerTier, "GET", ("v1", "customer-tiers", id,), timeout=timeout)

    def customer_tiers(self, *, page_size: int | None = None) -> AsyncPager[models.StoredCustomerTier]:
        """List customer tiers

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredCustomerTier, "GET", ("v1", "customer-tiers",), page_size=page_size)

    def customers(self, *, page_size: int | None = None) -> AsyncPager[models.StoredCustomer]:
        """List customers

        By id. A key of one customer sees itself only.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer sees itself.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredCustomer, "GET", ("v1", "customers",), page_size=page_size)

    async def dead_letter(self, id: str, *, timeout: float | timedelta | None = None) -> models.DeadLetterView:
        """Get a dead letter

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.DeadLetterView, "GET", ("v1", "dead-letters", id,), timeout=timeout)

    def dead_letters(
        self,
        *,
        status: Literal["pending", "replayed", "expired"] | None = None,
        workflow: str | None = None,
        page_size: int | None = None,
    ) -> AsyncPager[models.DeadLetterView]:
        """List dead letters

        Newest first.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those that stand here.
        workflow: Only those of this workflow.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.DeadLetterView, "GET", ("v1", "dead-letters",), query=(("status", status), ("workflow", workflow),), page_size=page_size)

    async def decide(
        self,
        id: str,
        body: types.Decision,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Decide an approval

        Answers the approval that an execution waits for; its `ctx.approval` resolves with the decision.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.RunAnswer, "POST", ("v1", "executions", id, "decisions",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_alert_rule(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete an alert rule

        An alert of it is over, and nobody is told.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        await self._nothing("DELETE", ("v1", "alert-rules", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_app(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete an app

        Its URL answers 404 from now on. An app that triggers listen to is not deleted.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "apps", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_customer(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a customer

        Its events are refused from now on. What it did stays in activity until retention ends.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "customers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_customer_tier(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a customer tier

        Customers that name it are limited by the plan from now on.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "customer-tiers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_env_config(
        self,
        environment: str,
        key: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a configuration value

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "env-configs", environment, key,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_plan(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a plan

        An account that has it is limited by no plan from now on.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "plans", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_secret(
        self,
        name: str,
        *,
        customer: str | None = None,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a secret

        With every version: executions that need it fail.

        Any key may call it; one of a customer sees and changes only what is its own.

        customer: The one customer it belongs to; the account's own when absent.
        """
        await self._nothing("DELETE", ("v1", "secrets", name,), query=(("customer", customer),), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_trigger(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a trigger

        Its URL answers 404 from now on. Executions that it started go on.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer deletes no trigger that listens to an app.
        """
        await self._nothing("DELETE", ("v1", "triggers", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def delete_workflow(
        self,
        id: str,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Delete a workflow

        New runs end; running executions stay on their version and finish. Triggers that name it start nothing.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        await self._nothing("DELETE", ("v1", "workflows", id,), if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def deploy(
        self,
        id: str,
        environment: str,
        version: int,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredDeployment:
        """Deploy a version to an environment

        New executions there run this version; running ones stay on theirs. Deploying an older version is the rollback.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredDeployment, "PUT", ("v1", "workflows", id, "deployments", environment,), body={"version": version}, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    def deployments(self, id: str, *, page_size: int | None = None) -> AsyncPager[models.StoredDeployment]:
        """List a workflow's deployments

        The built-in environment `test` is in it only when a version was pinned there; without that it runs the latest.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredDeployment, "GET", ("v1", "workflows", id, "deployments",), page_size=page_size)

    def env_configs(self, *, page_size: int | None = None) -> AsyncPager[models.StoredEnvConfig]:
        """List configuration values

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredEnvConfig, "GET", ("v1", "env-configs",), page_size=page_size)

    async def erase_customer(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ErasureView:
        """Erase a customer

        Its events are refused at once, and its executions, its activity, its configuration and its key go in the background;
        the answer is the proof as it grows. There is no way back. Asking again while it runs answers the same erasure.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.ErasureView, "POST", ("v1", "customers", id, "erase",), idempotency_key=idempotency_key, timeout=timeout)

    async def erasure(self, id: str, *, timeout: float | timedelta | None = None) -> models.ErasureView:
        """Get an erasure

        The proof of what was destroyed where, and what remains in the log until when.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.ErasureView, "GET", ("v1", "erasures", id,), timeout=timeout)

    def erasures(self, *, page_size: int | None = None) -> AsyncPager[models.ErasureView]:
        """List erasures

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ErasureView, "GET", ("v1", "erasures",), page_size=page_size)

    async def event(self, id: str, *, timeout: float | timedelta | None = None) -> models.EventView:
        """Get an event

        With its payload. Event ids are the sender's: without the customer header, the newest with this id is shown.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.EventView, "GET", ("v1", "events", id,), timeout=timeout)

    def events(
        self,
        *,
        status: Literal["delivered", "duplicate", "unmatched", "rejected"] | None = None,
        origin: Literal["webhook", "api", "manual", "schedule", "polling", "workflow", "command"] | None = None,
        type: str | None = None,
        trigger: str | None = None,
        quota: Literal["blocked", "over", "queued", "shadowed"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> AsyncPager[models.EventView]:
        """List events

        Newest first, without payloads. With the customer header, those of that customer only.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those of which admission made this.
        origin: Only those that came from here.
        type: Only this CloudEvents type.
        trigger: Only those that arrived at this webhook trigger.
        quota: Only those that a quota did this to.
        since: Received at or after, RFC 3339.
        until: Received before, RFC 3339.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.EventView, "GET", ("v1", "events",), query=(("status", status), ("origin", origin), ("type", type), ("trigger", trigger), ("quota", quota), ("since", since), ("until", until),), page_size=page_size)

    async def execution(self, id: str, *, timeout: float | timedelta | None = None) -> models.ExecutionView:
        """Get an execution

        With input, output, every step and what it logged. Secrets are masked.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ExecutionView, "GET", ("v1", "executions", id,), timeout=timeout)

    def executions(
        self,
        *,
        status: Literal["queued", "running", "waiting", "completed", "failed", "timeout", "cancelled"] | None = None,
        workflow: str | None = None,
        trigger: str | None = None,
        event_id: str | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> AsyncPager[models.ExecutionView]:
        """List executions

        Newest first, without input, output, steps and logs.

        Any key may call it; one of a customer sees and changes only what is its own.

        status: Only those that stand here.
        workflow: Only those of this workflow.
        trigger: Only those of this trigger.
        event_id: Only those that this event started.
        since: Admitted at or after, RFC 3339.
        until: Admitted before, RFC 3339.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ExecutionView, "GET", ("v1", "executions",), query=(("status", status), ("workflow", workflow), ("trigger", trigger), ("eventId", event_id), ("since", since), ("until", until),), page_size=page_size)

    async def get_customer(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredCustomer:
        """Get a customer

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.StoredCustomer, "GET", ("v1", "customers", id,), timeout=timeout)

    async def health(self, *, timeout: float | timedelta | None = None) -> models.Health:
        """Whether the process takes traffic

        Looks at the log, the store and the configuration. A process that is not ready should get no traffic.

        Needs no key.
        """
        return await self._one(models.Health, "GET", ("readyz",), timeout=timeout)

    async def pause_schedule(
        self,
        id: str,
        body: types.ChangeStatus | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleView:
        """Pause a schedule

        It does not fire until it is resumed. Runs that it has started go on.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ScheduleView, "POST", ("v1", "schedules", id, "pause",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def plan(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredPlan:
        """Get a plan

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.StoredPlan, "GET", ("v1", "plans", id,), timeout=timeout)

    def plans(self, *, page_size: int | None = None) -> AsyncPager[models.StoredPlan]:
        """List plans

        Those that are configured. `free` and `unlimited` are built in.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredPlan, "GET", ("v1", "plans",), page_size=page_size)

    async def poll_now(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.PollsAsked:
        """Poll at once

        For the customer named in the header, or for all that the trigger polls for. A poll that is under way is not begun again.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer asks for the polls for its customer.
        """
        return await self._one(models.PollsAsked, "POST", ("v1", "triggers", id, "poll",), idempotency_key=idempotency_key, timeout=timeout)

    def polls(self, id: str, *, page_size: int | None = None) -> AsyncPager[models.PollView]:
        """Get a trigger's polls

        How the polls of a trigger stand, by customer. One that is not in the list has not begun; it does within a second or two
        after its trigger is written.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer sees the polls for its customer.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.PollView, "GET", ("v1", "triggers", id, "poll",), page_size=page_size)

    async def preview_replay(
        self,
        body: types.StartReplay,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayPreview:
        """Preview a replay

        How many would run, and what the first few of them would do: at which version, with which results kept, and which
        calls going out again. Nothing is started.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ReplayPreview, "POST", ("v1", "replays", "preview",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def publish(
        self,
        id: str,
        body: types.PublishVersion,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.VersionView:
        """Publish a version

        The code is compiled first; code that does not parse is refused with its line and column. Publishing the newest
        version's code again returns that version. A workflow that does not exist yet is created with default settings.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.VersionView, "POST", ("v1", "workflows", id, "versions",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def put_alert_rule(
        self,
        body: types.AlertRule | models.StoredAlertRule,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """Create or change an alert rule

        A rule counts from the moment that it is enabled. If what it counts changes (metric, scope or window), it begins anew and
        an alert of it is over; other changes hold from the next evaluation on.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer writes rules about its customer.
        """
        return await self._one(models.StoredAlertRule, "PUT", ("v1", "alert-rules", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_app(
        self,
        body: types.App | models.StoredApp,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredApp:
        """Create or change an app

        A new app gets a random `endpoint`, which stays: its events are sent to `/v1/apps/<endpoint>/events`, a URL that tells
        nothing of the account.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredApp, "PUT", ("v1", "apps", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_customer(
        self,
        body: types.Customer | models.StoredCustomer,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredCustomer:
        """Create or change a customer

        The id is yours: use the one by which your own system knows the customer.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredCustomer, "PUT", ("v1", "customers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_customer_tier(
        self,
        body: types.CustomerTier | models.StoredCustomerTier,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredCustomerTier:
        """Create or change a customer tier

        Its limits go before the plan's, for every customer that names it. Takes effect at once.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredCustomerTier, "PUT", ("v1", "customer-tiers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_env_config(
        self,
        body: types.EnvConfig | models.StoredEnvConfig,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredEnvConfig:
        """Set a configuration value

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredEnvConfig, "PUT", ("v1", "env-configs", part_of(body, "environment"), part_of(body, "key"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_plan(
        self,
        body: types.Plan | models.StoredPlan,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredPlan:
        """Create or change a plan

        Takes effect at once for every customer whose limits come from it. One named `free` takes the place of the built-in one.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredPlan, "PUT", ("v1", "plans", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_quota_settings(
        self,
        body: types.QuotaSettings | models.StoredQuotaSettings,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredQuotaSettings:
        """Choose the account's plan

        One that is configured, `free` or `unlimited`. Takes effect at once.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredQuotaSettings, "PUT", ("v1", "quota-settings",), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_retention(
        self,
        body: types.RetentionSettings,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RetentionSettings:
        """Set the retention

        Counted from now on backwards: what is older goes with the next round, within the hour.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.RetentionSettings, "PUT", ("v1", "settings", "retention",), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_secret(
        self,
        body: types.SecretWrite,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.SecretView:
        """Write a secret

        Makes a new version. Executions that saw an older version see it again when they are replayed.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.SecretView, "PUT", ("v1", "secrets", part_of(body, "name"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_trigger(
        self,
        body: types.Trigger | models.TriggerView,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.TriggerView:
        """Create or change a trigger

        Takes effect at once, on every node. The id of a webhook trigger is part of its public URL, so ids are unique over
        all accounts. An app-event trigger makes itself known to its app; see its subscription for what the app answered.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer writes no trigger that polls or that listens to an app.
        """
        return await self._one(models.TriggerView, "PUT", ("v1", "triggers", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def put_workflow(
        self,
        body: types.Workflow | models.StoredWorkflow,
        *,
        if_match: int | str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredWorkflow:
        """Create or change a workflow's settings

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.StoredWorkflow, "PUT", ("v1", "workflows", part_of(body, "id"),), body=body, if_match=if_match, idempotency_key=idempotency_key, timeout=timeout)

    async def quota_settings(self, *, timeout: float | timedelta | None = None) -> models.QuotaSettings:
        """Get the account's plan

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.QuotaSettings, "GET", ("v1", "quota-settings",), timeout=timeout)

    async def replay(
        self,
        id: str,
        body: types.ReplayExecution | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Replay an execution

        Runs it again as a new execution, with the same input: from the start, or from the failed step with the results
        before it kept. Effects happen again unless their receiver knows the idempotency key.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.RunAnswer, "POST", ("v1", "executions", id, "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def replay_dead_letter(
        self,
        id: str,
        body: types.ReplayExecution | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Replay a dead letter

        As a new execution. The dead letter stays, and names its replays.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.RunAnswer, "POST", ("v1", "dead-letters", id, "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def replay_dead_letters(
        self,
        body: types.ReplayDeadLetters,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.DeadLettersReplayed:
        """Replay many dead letters

        Those named in `ids`, or those that are pending, newest first, up to `limit`. The answer tells how many were started.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.DeadLettersReplayed, "POST", ("v1", "dead-letters", "replay",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def replay_event(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Replay a refused event

        Takes an event that a quota refused once more, with the same id: it is judged by the limits as they are now, and counts
        now. Twice is once. An event that was admitted is not taken again; replay its executions instead.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.Accepted, "POST", ("v1", "events", id, "replay",), idempotency_key=idempotency_key, timeout=timeout)

    async def replay_job(self, id: str, *, timeout: float | timedelta | None = None) -> models.ReplayView:
        """Get a replay

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ReplayView, "GET", ("v1", "replays", id,), timeout=timeout)

    def replays(self, *, page_size: int | None = None) -> AsyncPager[models.ReplayView]:
        """List replays

        By id. A key of one customer sees those of its own only.

        Any key may call it; one of a customer sees and changes only what is its own.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ReplayView, "GET", ("v1", "replays",), page_size=page_size)

    async def reset_polls(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> None:
        """Forget what was listed

        The next poll, which is due now, is as the first one: `initial` says whether its records are told as created.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        await self._nothing("DELETE", ("v1", "triggers", id, "poll",), idempotency_key=idempotency_key, timeout=timeout)

    async def resume_schedule(
        self,
        id: str,
        body: types.ChangeStatus | None = None,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleView:
        """Resume a schedule

        It fires again from now on; what it would have fired while it was paused is left out. Failures in a row are counted
        from zero, and a cooldown ends.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ScheduleView, "POST", ("v1", "schedules", id, "resume",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def retention(self, *, timeout: float | timedelta | None = None) -> models.RetentionSettings:
        """Get the retention

        How long activity and payloads are kept; the built-in default while nobody has set it.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.RetentionSettings, "GET", ("v1", "settings", "retention",), timeout=timeout)

    async def retry_subscription(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.SubscriptionView:
        """Ask the app again to subscribe

        For a trigger whose subscription failed or was never made. One that is subscribed stays as it is.

        Needs a key of the account; a key of one customer is refused with `FORBIDDEN`.
        """
        return await self._one(models.SubscriptionView, "POST", ("v1", "triggers", id, "retry-subscription",), idempotency_key=idempotency_key, timeout=timeout)

    async def run_schedule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ScheduleFired:
        """Run a schedule now

        Makes one event beside those of the clock, for the customer named in the header or for every customer that the
        schedule fires for. The time of its next fire does not change. Runs by hand do not count as failures in a row.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. A key of one customer makes an event for its customer.
        """
        return await self._one(models.ScheduleFired, "POST", ("v1", "schedules", id, "run",), idempotency_key=idempotency_key, timeout=timeout)

    async def schedule(self, id: str, *, timeout: float | timedelta | None = None) -> models.ScheduleView:
        """Get a schedule

        With the next scheduled times and the last 20 changes of its status; changes by the platform are marked.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.ScheduleView, "GET", ("v1", "schedules", id,), timeout=timeout)

    def schedules(self, *, page_size: int | None = None) -> AsyncPager[models.ScheduleView]:
        """List schedules

        Triggers that fire by the clock, by id, with their next and last runs and failures.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.ScheduleView, "GET", ("v1", "schedules",), page_size=page_size)

    def secrets(self, *, page_size: int | None = None) -> AsyncPager[models.SecretView]:
        """List secrets

        Names and versions; values are never shown.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. Names and versions; no key reads a value.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.SecretView, "GET", ("v1", "secrets",), page_size=page_size)

    async def send_app_event(
        self,
        body: types.SendAppEvents,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.AppAccepted:
        """Send app events

        Events of a connector app that the SaaS backend sends itself: one, or an array of them, all or none. An event goes to
        the customer that it names, or to those whose triggers have its account.

        Any key may call it; one of a customer sees and changes only what is its own. A key of one customer sends events of its customer.
        """
        return await self._one(models.AppAccepted, "POST", ("v1", "app-events",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def silence_alert_rule(
        self,
        id: str,
        duration: str | timedelta,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """Silence an alert rule

        Nobody is told for so long. The rule is evaluated all the same, and if it still fires then, its channels are told.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.StoredAlertRule, "POST", ("v1", "alert-rules", id, "silence",), body={"duration": duration}, idempotency_key=idempotency_key, timeout=timeout)

    async def start_replay(
        self,
        body: types.StartReplay,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.ReplayView:
        """Start a replay

        Runs in the background, at its rate, whichever node dies meanwhile. Each item is started once.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.ReplayView, "POST", ("v1", "replays",), body=body, idempotency_key=idempotency_key, timeout=timeout)

    async def subscription(self, id: str, *, timeout: float | timedelta | None = None) -> models.SubscriptionView:
        """Get a trigger's subscription

        Whether the connector app knows of the trigger, apart from the trigger's own status.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.SubscriptionView, "GET", ("v1", "triggers", id, "subscription",), timeout=timeout)

    async def test_alert_rule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.AlertTested:
        """Test the channels of an alert rule

        Sends each channel a message of the type `alert.test`, once, and tells what became of it.

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.AlertTested, "POST", ("v1", "alert-rules", id, "test",), idempotency_key=idempotency_key, timeout=timeout)

    async def trigger(self, id: str, *, timeout: float | timedelta | None = None) -> models.TriggerView:
        """Get a trigger

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.TriggerView, "GET", ("v1", "triggers", id,), timeout=timeout)

    def triggers(self, *, page_size: int | None = None) -> AsyncPager[models.TriggerView]:
        """List triggers

        An app-event trigger says whether its app knows of it (`subscription`), apart from its status.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.TriggerView, "GET", ("v1", "triggers",), page_size=page_size)

    async def unsilence_alert_rule(
        self,
        id: str,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.StoredAlertRule:
        """End the silence of an alert rule

        Any key may call it; one of a customer sees and changes only what is its own.
        """
        return await self._one(models.StoredAlertRule, "POST", ("v1", "alert-rules", id, "unsilence",), idempotency_key=idempotency_key, timeout=timeout)

    def usage(
        self,
        *,
        measure: Literal["events", "events_blocked", "events_over", "executions", "steps", "api_calls"] | None = None,
        since: datetime | str | None = None,
        until: datetime | str | None = None,
        page_size: int | None = None,
    ) -> AsyncPager[models.UsageRow]:
        """List usage

        By customer, day of UTC and measure, the newest day first; with the customer header, that customer's only. Events count on
        the day on which they became durable. It is a view of the log, a moment behind it, and kept for 400 days.

        Any key may call it; one of a customer sees and changes only what is its own.

        measure: Only this.
        since: From the day that holds this instant, RFC 3339.
        until: To the day that holds this instant, included.
        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.UsageRow, "GET", ("v1", "usage",), query=(("measure", measure), ("since", since), ("until", until),), page_size=page_size)

    async def version(self, id: str, version: int, *, timeout: float | timedelta | None = None) -> models.VersionView:
        """Get a version

        With its source.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers. With its source.
        """
        return await self._one(models.VersionView, "GET", ("v1", "workflows", id, "versions", version,), timeout=timeout)

    def versions(self, id: str, *, page_size: int | None = None) -> AsyncPager[models.VersionView]:
        """List versions

        Newest first, without their source.

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.VersionView, "GET", ("v1", "workflows", id, "versions",), page_size=page_size)

    async def workflow(self, id: str, *, timeout: float | timedelta | None = None) -> models.StoredWorkflow:
        """Get a workflow

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.
        """
        return await self._one(models.StoredWorkflow, "GET", ("v1", "workflows", id,), timeout=timeout)

    def workflows(self, *, page_size: int | None = None) -> AsyncPager[models.StoredWorkflow]:
        """List workflows

        Any key may call it; one of a customer sees what is its own, and what the account has for all customers.

        page_size: rows of each page that is asked for, at most 1,000.
        """
        return self._list(models.StoredWorkflow, "GET", ("v1", "workflows",), page_size=page_size)


class AsyncCustomerOperations(AsyncOperations):
    """What needs a customer, beside that."""

    async def run(
        self,
        id: str,
        input: Any = None,
        *,
        environment: str | None = None,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.RunAnswer:
        """Run a workflow

        For the customer named in the header. An Instant workflow answers 200 with its result, or with the error that it ended
        with; the others answer 202 with the execution's id. With an `Idempotency-Key`, a repeat returns the first execution.

        Any key may call it; one of the account names the customer in `x-fastn-account-tenant-id`.
        """
        return await self._one(models.RunAnswer, "POST", ("v1", "workflows", id, "run",), body={key: value for key, value in {"environment": environment, "input": input}.items() if value is not None}, idempotency_key=idempotency_key, timeout=timeout)

    async def send(
        self,
        event: types.SendEvents,
        *,
        idempotency_key: str | None = None,
        timeout: float | timedelta | None = None,
    ) -> models.Accepted:
        """Send events

        Takes one event as `application/json`, a CloudEvent in structured mode (`application/cloudevents+json`), a batch
        (`application/cloudevents-batch+json`), or a CloudEvent in binary mode (`ce-…` headers). `Content-Encoding: gzip` is
        understood. The answer is 202 only once the events are durable. An id that was seen within the window is admitted
        once, so a repeat is safe.

        Any key may call it; one of the account names the customer in `x-fastn-account-tenant-id`.
        """
        return await self._one(models.Accepted, "POST", ("v1", "events",), body=event, idempotency_key=idempotency_key, timeout=timeout)
