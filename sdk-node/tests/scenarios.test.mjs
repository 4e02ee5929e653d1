// The scenarios of tests/scenarios, which every SDK runs, against the server that FASTN_URL names.
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { createFastnClient, verifyWebhook } from "@fastn/sdk";

const tree = process.env.FASTN_TREE;
const folder = join(tree, "tests/scenarios");
const names = JSON.parse(readFileSync(join(tree, "sdk-rust/operations.json"), "utf8"));
/** How long a step may take that is done until it is as told. */
const UNTIL_MS = 60_000;

const client = process.env.FASTN_URL && createFastnClient();
after(() => client?.close());

/** With every `${name}` replaced. A text that is nothing but a variable becomes its value. */
function fill(value, variables) {
  if (typeof value === "string") {
    const whole = /^\$\{(\w+)\}$/.exec(value)?.[1];
    if (whole && whole in variables) return variables[whole];
    return value.replace(/\$\{(\w+)\}/g, (text, name) => (name in variables ? String(variables[name]) : text));
  }
  if (Array.isArray(value)) return value.map((one) => fill(one, variables));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, fill(one, variables)]));
}

/** How a value does not match a pattern, if it does not. */
function differs(pattern, value, at = "") {
  if (pattern === "$any") return value === null || value === undefined ? `${at} is missing` : undefined;
  if (pattern !== null && typeof pattern === "object" && !Array.isArray(pattern)) {
    if ("$count" in pattern) return value?.length === pattern.$count ? undefined : `${at} has not ${pattern.$count} rows`;
    if ("$has" in pattern) {
      const found = Array.isArray(value) && value.some((row) => !differs(pattern.$has, row, at));
      return found ? undefined : `${at} has no row like ${JSON.stringify(pattern.$has)}`;
    }
    return Object.entries(pattern).map(([name, one]) => differs(one, value?.[name] ?? null, `${at}.${name}`)).find(Boolean);
  }
  if (Array.isArray(pattern)) {
    if (!Array.isArray(value) || value.length !== pattern.length) return `${at} is no list of ${pattern.length}`;
    return pattern.map((one, n) => differs(one, value[n], `${at}.${n}`)).find(Boolean);
  }
  return Object.is(pattern, value) ? undefined : `${at} is ${JSON.stringify(value)} and not ${JSON.stringify(pattern)}`;
}

async function rows(iterable) {
  const all = [];
  for await (const row of iterable) all.push(row);
  return all;
}

/** What is more than a method of the same arguments. */
const HELPERS = {
  wait: (own, [id, seconds]) => own.wait(id, { timeout: seconds * 1000 }),
  runAndWait: (own, [workflow, input, seconds]) => own.runAndWait(workflow, input, { timeout: seconds * 1000 }),
  sendEvents: (own, [events], options) => (Array.isArray(events) ? own.sendMany(events, options) : own.send(events, options)),
  exportCustomer: (own, [id]) => rows(own.exportCustomer(id)),
  verifyWebhook: (_own, args) => verifyWebhook(...args),
  async follow(own, [execution]) {
    const statuses = [];
    for await (const update of own.follow({ execution })) {
      const status = update.execution?.status;
      if (status && !statuses.includes(status)) statuses.push(status);
    }
    return statuses;
  },
  async batch(own, [customer, events]) {
    const batcher = own.batcher();
    for (const event of events) await batcher.send(customer, event);
    const { sent, failed } = await batcher.close();
    return { sent, failed: failed.map(({ customer, event, error }) => ({ customer, event, error: { name: error.name, code: error.code } })) };
  },
};

async function make(step, variables) {
  const own = step.as ? client.customer(fill(step.as, variables)) : client;
  const args = fill(step.args ?? [], variables);
  const options = fill(step.filters ?? {}, variables);
  if (step.idempotencyKey) options.idempotencyKey = fill(step.idempotencyKey, variables);
  if (HELPERS[step.do]) return HELPERS[step.do](own, args, options);
  const method = names[step.do].replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
  // Options come last.
  while (args.length < own[method].length - 1) args.push(undefined);
  const made = own[method](...args, options);
  return typeof made.take === "function" ? made.take(step.take ?? 100) : made;
}

async function judge(step, variables) {
  let result;
  try {
    result = await make(step, variables);
  } catch (error) {
    if (!step.error) throw error;
    const how = differs(fill(step.error, variables), error);
    if (how) throw new Error(`${how}; it fails with ${error.stack}`, { cause: error });
    return undefined;
  }
  if (step.error) assert.fail(`it must fail with ${JSON.stringify(step.error)}, and answers ${JSON.stringify(result)}`);
  const how = step.expect === undefined ? undefined : differs(fill(step.expect, variables), result);
  if (how) assert.fail(`${how}; the result is ${JSON.stringify(result)}`);
  return result;
}

async function perform(step, variables) {
  const deadline = Date.now() + UNTIL_MS;
  for (;;) {
    try {
      return await judge(step, variables);
    } catch (error) {
      if (!step.until || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

for (const file of readdirSync(folder).filter((name) => name.endsWith(".json"))) {
  const scenario = JSON.parse(readFileSync(join(folder, file), "utf8"));
  test(`${file}: ${scenario.about}`, { skip: !client && "FASTN_URL names no server" }, async () => {
    const run = `js${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`;
    const variables = { run, RUN: run.toUpperCase() };
    for (const [n, step] of scenario.steps.entries()) {
      let result;
      try {
        result = await perform(step, variables);
      } catch (error) {
        throw new Error(`step ${n + 1} (${step.do}): ${error.message}`, { cause: error });
      }
      for (const [name, path] of Object.entries(step.save ?? {})) {
        variables[name] = path.split(".").filter(Boolean).reduce((value, part) => value?.[part], result);
        assert.notEqual(variables[name], undefined, `${path} is not in ${JSON.stringify(result)}`);
      }
    }
  });
}
