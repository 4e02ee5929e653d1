// What must not pass: TypeScript fails where nothing is wrong with the next line.
import { createFastnClient, FastnClient, Pager } from "@fastn/sdk";

// @ts-expect-error there is no such option
createFastnClient({ ulr: "x" });
// @ts-expect-error it is made by createFastnClient
new FastnClient();
// @ts-expect-error lists make it
new Pager();
const client = createFastnClient();
// @ts-expect-error a customer sends
await client.send({ type: "t" });
// @ts-expect-error a customer runs
await client.run("w", {});
// @ts-expect-error an event has a type
await client.customer("c").send({ data: 1 });
// @ts-expect-error there is no such field
await client.putCustomer({ id: "c", nmae: "x" });
// @ts-expect-error there is no such status
client.executions({ status: "done" });
// @ts-expect-error there is no such filter
client.executions({ statsu: "failed" });
// @ts-expect-error an id is text
await client.execution(7);
// @ts-expect-error reads have no idempotency key
await client.execution("e", { idempotencyKey: "k" });
