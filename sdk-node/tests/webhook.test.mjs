// Verification of what fastn sends.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";

import { ConfigError, WebhookVerificationError, verifyWebhook } from "@fastn/sdk";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

function signed(body, secret = SECRET, at = Date.now()) {
  const [id, seconds] = ["msg_1", String(Math.floor(at / 1000))];
  const key = Buffer.from(secret.slice("whsec_".length), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${seconds}.`).update(body).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": seconds, "webhook-signature": `v1,${signature}` };
}

// Property: a right message passes under each of two secrets, with headers of every kind and a body of text or bytes.
test("right messages", () => {
  const body = '{"text":"ä€😀"}';
  const headers = signed(body);
  assert.equal(verifyWebhook(SECRET, headers, body), true);
  assert.equal(verifyWebhook([OTHER, SECRET], headers, Buffer.from(body)), true);
  assert.equal(verifyWebhook([SECRET], new Headers(headers), new TextEncoder().encode(body)), true);
  const upper = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), [value]]));
  assert.equal(verifyWebhook(SECRET, upper, body), true);
  assert.equal(verifyWebhook(SECRET, signed(body, SECRET, Date.now() - 3_000_000), body, { tolerance: 4_000_000 }), true);
});

// Property: whatever is wrong is told apart.
test("wrong messages", () => {
  const body = "{}";
  const wrong = (reason, ...given) =>
    assert.throws(() => verifyWebhook(...given), (error) => error instanceof WebhookVerificationError && error.reason === reason);
  wrong("signature", SECRET, signed(body), '{"a":1}');
  wrong("signature", OTHER, signed(body), body);
  wrong("time", SECRET, signed(body, SECRET, Date.now() - 400_000), body);
  wrong("header", SECRET, {}, body);
  wrong("secret", "mine", signed(body), body);
  assert.throws(() => verifyWebhook(SECRET, signed(body), { decoded: true }), ConfigError);
});
