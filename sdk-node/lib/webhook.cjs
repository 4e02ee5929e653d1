"use strict";
// Verifies what fastn itself sends: Standard Webhooks.

const native = require("./native.cjs");
const { WebhookVerificationError, refused } = require("./errors.cjs");

const HEADERS = ["webhook-id", "webhook-timestamp", "webhook-signature"];

/** One header of a `Headers`, or of an object whose names may be written in any case. */
function header(headers, name) {
  if (typeof headers?.get === "function") return headers.get(name) ?? undefined;
  const key = Object.keys(headers ?? {}).find((one) => one.toLowerCase() === name);
  const value = key === undefined ? undefined : headers[key];
  return Array.isArray(value) ? value[0] : value;
}

/** See the types. */
function verifyWebhook(secrets, headers, body, { tolerance } = {}) {
  if (typeof body !== "string" && !(body instanceof Uint8Array)) {
    throw refused("verify a webhook", "the body is needed as it came, as text or bytes: it was decoded already");
  }
  const given = HEADERS.map((name) => {
    const value = header(headers, name);
    return value === undefined || value === null ? null : String(value);
  });
  const distrust = native.verifyWebhook([secrets].flat().map(String), given, body, tolerance);
  if (distrust) throw new WebhookVerificationError(distrust);
  return true;
}

module.exports = { verifyWebhook };
