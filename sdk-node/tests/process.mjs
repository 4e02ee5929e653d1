// A server in a process of its own, so that what is measured here is the client. It answers with the path that was asked for,
// with a page of 1,000 executions where that is the limit, and with 404 where the path ends with `missing`.
import { fork } from "node:child_process";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(import.meta.url);

function execution(n) {
  return {
    id: `exec_${String(n).padStart(26, "0")}`,
    customer: "cus_acme",
    workflow: "triage",
    version: 3,
    environment: "test",
    tier: "standard",
    status: "completed",
    triggeredBy: "webhook",
    trigger: "github",
    eventId: `evt_${String(n).padStart(26, "0")}`,
    attempt: 1,
    stepCount: 4,
    durationMs: 1234,
    createdAt: "2026-01-02T03:04:05.678Z",
    finishedAt: "2026-01-02T03:04:06.912Z",
  };
}

/** A page. */
export function pageOfExecutions() {
  return { items: Array.from({ length: 1000 }, (_, n) => execution(n)), nextCursor: null };
}

if (process.argv[1] === file && process.send) {
  const page = JSON.stringify(pageOfExecutions());
  const server = createServer((request, response) => {
    if (request.url.includes("limit=1000")) return response.setHeader("content-type", "application/json").end(page);
    request.resume().on("end", () => {
      const missing = request.url.endsWith("missing");
      response.writeHead(missing ? 404 : 200, { "content-type": "application/json" });
      response.end(missing ? '{"code":"NOT_FOUND","detail":"","status":404}' : JSON.stringify({ path: request.url, eventId: "e" }));
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1", 4096, () => process.send(server.address().port));
  process.on("disconnect", () => process.exit());
}

/** Starts one. */
export async function serverProcess() {
  const child = fork(file, [], { execArgv: [] });
  const port = await new Promise((resolve, reject) => child.once("message", resolve).once("exit", reject));
  return { url: `http://127.0.0.1:${port}`, close: () => child.disconnect() };
}
