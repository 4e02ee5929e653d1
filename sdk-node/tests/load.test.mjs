// Many calls, large answers, and the event loop meanwhile.
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { pageOfExecutions, serverProcess } from "./process.mjs";
import { together } from "./scripted.mjs";

/** Calls of the test of memory; a million by hand. */
const CALLS = Number(process.env.FASTN_TEST_CALLS ?? 50_000);

// Property: 10,000 calls at once all end well, in a few wake-ups rather than one each.
test("10,000 concurrent calls", async (t) => {
  const server = await serverProcess();
  t.after(() => server.close());
  const { client } = await together(t, undefined, { url: server.url });
  const calls = Array.from({ length: 10_000 }, (_, n) => client.execution(`exec_${n}`));
  const got = await Promise.all(calls);
  assert.deepEqual(got.map((one) => one.path), Array.from({ length: 10_000 }, (_, n) => `/v1/executions/exec_${n}`));
});

/** The longest time for which the event loop stood still while `work` ran, and how long that took. */
async function longestPause(work) {
  let [last, longest] = [performance.now(), 0];
  const tick = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  const start = performance.now();
  await work();
  clearInterval(tick);
  return { longest, whole: performance.now() - start };
}

// Property: neither large events nor many calls hold up the event loop: it writes and reads JSON, and the rest is done elsewhere.
test("the event loop goes on", async (t) => {
  const server = await serverProcess();
  t.after(() => server.close());
  const { client } = await together(t, undefined, { url: server.url });
  const customer = client.customer("c");
  const event = { type: "t", data: { text: "x".repeat(700_000) } };
  const large = await longestPause(async () => {
    const calls = [];
    for (let n = 0; n < 100; n += 1) {
      calls.push(customer.send(event));
      await new Promise(setImmediate);
    }
    await Promise.all(calls);
  });
  assert.ok(large.longest < Math.max(large.whole / 4, 150), JSON.stringify(large));
  const many = await longestPause(async () => {
    for (let n = 0; n < 20; n += 1) await Promise.all(Array.from({ length: 250 }, () => customer.send({ type: "t", data: n })));
  });
  assert.ok(many.longest < Math.max(many.whole / 3, 150), JSON.stringify(many));
});

/** Milliseconds for which the thread of JavaScript has had a processor, whatever else this machine does. */
function ownTime() {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, "utf8").split(" ")[0]) / 1e6;
}

/** What work costs this thread, the mean of many times. */
async function cost(work) {
  const TIMES = 150;
  for (let n = 0; n < 10; n += 1) await work();
  const before = ownTime();
  for (let n = 0; n < TIMES; n += 1) await work();
  return (ownTime() - before) / TIMES;
}

// Property: what the client adds to JSON.parse, while it decodes a page of 1,000 executions, is less than half of it.
test("decoding costs what JSON.parse costs", { skip: !existsSync("/proc/self/schedstat") && "it reads /proc" }, async (t) => {
  const server = await serverProcess();
  t.after(() => server.close());
  const { client } = await together(t, undefined, { url: server.url });
  const text = JSON.stringify(pageOfExecutions());
  assert.equal((await client.executions().page({ limit: 1000 })).items.length, 1000);
  const parse = await cost(async () => JSON.parse(text));
  const call = await cost(() => client.execution("e"));
  const page = await cost(() => client.executions().page({ limit: 1000 }));
  const told = `JSON.parse ${parse.toFixed(3)} ms, a page ${page.toFixed(3)} ms, any call ${call.toFixed(3)} ms; ${text.length} bytes`;
  t.diagnostic(told);
  assert.ok(page - call < parse * 1.5, told);
});

// Property: memory stays flat over any number of calls, also failing and aborted ones.
test("memory is flat", async (t) => {
  const server = await serverProcess();
  t.after(() => server.close());
  const { client } = await together(t, undefined, { url: server.url, attemptsMax: 1 });
  const round = async (calls) => {
    for (let done = 0; done < calls; done += 500) {
      const giving = new AbortController();
      const some = Array.from({ length: 500 }, (_, n) => {
        if (n % 50 === 0) return client.execution("missing").catch(() => {});
        if (n % 50 === 1) return client.execution("e", { signal: giving.signal }).catch(() => {});
        return client.execution(`exec_${n}`);
      });
      giving.abort();
      await Promise.all(some);
    }
    globalThis.gc?.();
    return process.memoryUsage().rss;
  };
  await round(CALLS / 5);
  const before = await round(CALLS / 5);
  const after = await round(CALLS - (2 * CALLS) / 5);
  t.diagnostic(`${(before / 1e6).toFixed(1)} MB, then ${(after / 1e6).toFixed(1)} MB after ${CALLS} calls`);
  assert.ok(after < before * 1.25 + 16e6, `${before} bytes became ${after}`);
});
