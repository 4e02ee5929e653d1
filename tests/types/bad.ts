// Each line marked @ts-expect-error must be refused by the type checker; the check fails if one is not.

export default async function (ctx: WorkflowContext<{ id: number }>) {
  // @ts-expect-error: the input has no such member
  ctx.input.name;
  // @ts-expect-error: the context cannot be changed
  ctx.customer.id = "x";
  // @ts-expect-error: a step needs a function
  await ctx.step("x");
  // @ts-expect-error: not a duration
  await ctx.sleep("soon");
  // @ts-expect-error: an event needs a type
  await ctx.emit({ data: 1 });
  // @ts-expect-error: no such scope
  await fastn.state.set("k", 1, { scope: "GLOBAL" });
  // @ts-expect-error: a secret may be missing
  (await fastn.secrets.get("TOKEN")).length;
  // @ts-expect-error: an object is no body
  await fetch("https://example.com", { method: "POST", body: { a: 1 } });
  // @ts-expect-error: there are no timers
  setTimeout(() => {}, 1);
  // @ts-expect-error: there is no process
  process.env;
  // @ts-expect-error: a step gives what its function gives
  const text: string = await ctx.step("n", async () => 1);
  return text;
}
