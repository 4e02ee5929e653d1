// Everything that a workflow may write; must pass the type checker.

interface Order {
  orderId: string;
  items: { sku: string; price: number }[];
}

export default async function (ctx: WorkflowContext<Order>) {
  const total = ctx.input.items.reduce((sum, item) => sum + item.price, 0);
  const started: string = ctx.execution.startedAt;
  if (ctx.execution.tier === "long") console.log(started, ctx.customer.id, ctx.event.type, ctx.headers["x-id"]);

  const charge = await ctx.step(
    "charge",
    async () => {
      const response = await fetch("https://pay.example.com/charges", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ total }),
        timeout: "10s",
      });
      if (response.status === 429) throw new RetryableError("busy", { retryAfter: "30s" });
      if (!response.ok) throw new NonRetryableError(`refused: ${response.status}`);
      return (await response.json()) as { id: string };
    },
    { retry: { maxAttempts: 5, initialInterval: "2s", maxInterval: "1m" }, timeout: "2m" },
  );
  const id: string = charge.id;
  const plain: number = await ctx.step("plain", () => 1);

  await ctx.sleep("1h 30m");
  await ctx.sleep(new Date(Date.now() + 1000));
  await ctx.sleep("PT5M");
  const paid = await ctx.waitForEvent<{ amount: number }>({ type: "order.paid" }, { timeout: "7d" });
  const amount: number = paid === null ? 0 : paid.data.amount;
  await ctx.emit({ type: "order.done", data: { id, amount, plain } });
  const decision = await ctx.approval({ title: "Ship it?", timeout: "2d" });

  const output = await fastn.flow.invoke<{ ok: boolean }>("ship-order", { id });
  const { executionId } = await fastn.flow.invokeAsync("audit");
  const count = (await fastn.state.get<number>("count")) ?? 0;
  await fastn.state.set("count", count + 1, { scope: "INVOCATION", ttl: "1d" });
  await fastn.state.delete("count");
  const token = await fastn.secrets.get("API_TOKEN");
  const base = await fastn.envConfig.get<string>("BASE_URL");
  await fastn.connector.slack.postMessage({ channel: "#orders", text: `order ${id}` });

  const url = new URL("/orders", base ?? "https://api.example.com");
  url.searchParams.set("id", id);
  const bytes: Uint8Array = new TextEncoder().encode(btoa(crypto.randomUUID()));
  fastn.log.info(url.href, new TextDecoder().decode(bytes), structuredClone({ a: 1 }).a, token?.length);
  return { approved: decision.approved, ok: output.ok, executionId };
}
