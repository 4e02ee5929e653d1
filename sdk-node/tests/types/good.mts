// What programs write: each line must pass `tsc --strict`.
import sdk, {
  ApiError,
  Batcher,
  CustomerClient,
  EventsFailedError,
  FastnClient,
  FastnError,
  NotFoundError,
  Pager,
  WebhookVerificationError,
  createFastnClient,
  verifyWebhook,
} from "@fastn/sdk";
import type {
  Accepted,
  CallOptions,
  ClientOptions,
  EventInput,
  ExecutionView,
  ExecutionsOptions,
  FailedEvent,
  Flushed,
  Page,
  StoredWorkflow,
  Update,
} from "@fastn/sdk";

import { startTestServer } from "@fastn/sdk/testing";

const settings: ClientOptions = { url: process.env["FASTN_URL"], accessKey: process.env["FASTN_ACCESS_KEY"] };
await using client: FastnClient = createFastnClient(settings);
const same: typeof createFastnClient = sdk.createFastnClient;
const customer: CustomerClient = client.customer("cus_acme");
const bound: CustomerClient = same().customer();
const event: EventInput = { type: "order.created", data: { id: 7 }, time: new Date(), id: undefined };
const accepted: Accepted = await customer.send(event, { idempotencyKey: "k", signal: AbortSignal.timeout(1000), timeout: 500 });
const many: Accepted = await bound.sendMany([event, { type: "t" }]);
const workflow: StoredWorkflow = await client.putWorkflow({ id: "triage", name: "Triage" }, { ifMatch: 3 });
await client.deploy("triage", "test", 1);
await client.silenceAlertRule("rule", "2h");
const answer = await customer.run("triage", { issue: 7 }, { environment: "live" });
const execution: ExecutionView = await customer.runAndWait("triage", { issue: 7 }, { timeout: 60_000 });
const status: "queued" | "running" | "waiting" | "completed" | "failed" | "timeout" | "cancelled" = execution.status;
const filter: ExecutionsOptions = { status: "failed", since: new Date(), until: "2026-01-01T00:00:00Z", limit: 100 };
const list: Pager<ExecutionView> = client.executions(filter);
for await (const row of list) console.log(row.id.toUpperCase(), row.durationMs ?? 0);
const rows: ExecutionView[] = await list.take(10);
const page: Page<ExecutionView> = await list.page({ cursor: undefined, limit: 5 });
for await (const update of client.follow({ workflow: "triage" })) {
  const told: Update = update;
  if (told.type === "execution") console.log(told.execution.status);
  else console.log(told.type satisfies "missed");
}
for await (const row of client.exportCustomer("cus_acme")) console.log(row.type, row["n"]);
const batcher: Batcher = client.batcher({ eventsMax: 100 });
await batcher.send("cus_acme", event);
const flushed: Flushed = await batcher.flush();
const failed: FailedEvent[] = flushed.failed;
for (const one of failed) await customer.send(one.event, { idempotencyKey: one.event.id });
const options: CallOptions = {};
try {
  await client.execution("exec_1", options);
} catch (error) {
  if (error instanceof NotFoundError) console.log(error.code satisfies "NOT_FOUND", error.status.toFixed());
  else if (error instanceof ApiError) console.log(error.details?.title, error.retryAfter);
  else if (error instanceof EventsFailedError) console.log(error.failed.length);
  else if (error instanceof FastnError) console.log(error.operation, error.fields.map((field) => field.path));
  else if (error instanceof WebhookVerificationError) console.log(error.reason);
}
const right: true = verifyWebhook(["whsec_x"], new Headers(), new Uint8Array(), { tolerance: 1 });
verifyWebhook("whsec_x", { "webhook-id": "m", other: ["a", "b"], none: undefined }, "{}");
console.log(accepted, many, workflow.revision, answer.output, status, rows, page, right);
await using server = await startTestServer({ frozen: true });
const own: FastnClient = server.client({ timeout: 1000 });
await server.advance("1h");
await own.close();
