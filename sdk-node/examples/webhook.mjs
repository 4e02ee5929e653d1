// Receives what fastn itself sends, such as messages of alerts, and takes each once. ALERT_SECRET is the channel's `whsec_…`.
import { createServer } from "node:http";
import { WebhookVerificationError, verifyWebhook } from "@fastn/sdk";

const seen = new Set();

const server = createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces);
  try {
    verifyWebhook(process.env.ALERT_SECRET, request.headers, body);
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    response.writeHead(401).end(error.detail);
    return;
  }
  const id = request.headers["webhook-id"];
  if (!seen.has(id)) console.log("message", JSON.parse(body.toString()));
  seen.add(id);
  response.writeHead(204).end();
});

server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => console.log("listening on", server.address().port));
