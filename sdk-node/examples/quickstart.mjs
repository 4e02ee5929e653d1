// Publishes a workflow, runs it for a customer, and shows what became of it. Needs a server: `fastn dev`, or FASTN_URL,
// FASTN_ACCESS_KEY and FASTN_ACCOUNT_ID.
import { NotFoundError, createFastnClient } from "@fastn/sdk";

const client = createFastnClient();
await client.putCustomer({ id: "cus_acme", name: "Acme" });
await client.putWorkflow({ id: "welcome", name: "Welcome" });
const source = "export default async function (ctx) { return { text: `Welcome, ${ctx.input.name}` }; }";
const { version } = await client.publish("welcome", { source });
await client.deploy("welcome", "test", version);

const acme = client.customer("cus_acme");
const execution = await acme.runAndWait("welcome", { name: "Ada" }, { timeout: 30_000 });
console.log(execution.status, execution.output);

// Lists page by themselves.
for await (const { id, status } of acme.executions({ workflow: "welcome" })) console.log(id, status);

// Errors have classes.
try {
  await client.workflow("farewell");
} catch (error) {
  if (!(error instanceof NotFoundError)) throw error;
  console.log(error.message);
}

// Many events go out in the background, many in a request.
const batcher = client.batcher();
for (let n = 0; n < 1000; n += 1) await batcher.send("cus_acme", { type: "page.viewed", data: { n } });
console.log(await batcher.close());
await client.close();
