// Sends webhooks to a real fastn, each signed by its provider's own library. Arguments: base URL, URL of the app.
//
// Each is sent with both of the keys that are valid at once, must be taken as it is, and refused with one byte more.
// Slack's library only verifies: what is signed here must satisfy it too.
import { createHmac } from 'node:crypto';
import { Webhooks } from '@octokit/webhooks';
import { verifySlackRequest } from '@slack/bolt';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import twilio from 'twilio';

const [base, app] = process.argv.slice(2);
const keys = ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD'];
const now = new Date();
const seconds = Math.floor(now.getTime() / 1000);
const json = { 'content-type': 'application/json' };
const form = { 'content-type': 'application/x-www-form-urlencoded' };
const url = (trigger) => `${base}/v1/webhooks/${trigger}`;

const senders = {
  async github(key, n) {
    const body = JSON.stringify({ action: 'opened', issue: { number: n } });
    const signature = await new Webhooks({ secret: key }).sign(body);
    return [{ 'x-hub-signature-256': signature, 'x-github-event': 'issues', 'x-github-delivery': `node-${n}`, ...json }, body];
  },
  async standard(key, n) {
    const body = JSON.stringify({ type: 'invoice.paid', n });
    const signature = new StandardWebhook(key).sign(`msg_node_${n}`, now, body);
    return [{ 'webhook-id': `msg_node_${n}`, 'webhook-timestamp': `${seconds}`, 'webhook-signature': signature, ...json }, body];
  },
  async svix(key, n) {
    const body = JSON.stringify({ event_type: 'ping', n });
    const signature = new SvixWebhook(key).sign(`msg_svix_node_${n}`, now, body);
    return [{ 'svix-id': `msg_svix_node_${n}`, 'svix-timestamp': `${seconds}`, 'svix-signature': signature, ...json }, body];
  },
  async stripe(key, n) {
    const body = JSON.stringify({ id: `evt_node_${n}`, object: 'event', type: 'charge.succeeded' }, null, 2);
    const signature = new Stripe('sk_test_x').webhooks.generateTestHeaderString({ payload: body, secret: key });
    return [{ 'stripe-signature': signature, ...json }, body];
  },
  async slack(key, n) {
    const body = JSON.stringify({ type: 'event_callback', event_id: `Ev_node_${n}` });
    const signature = `v0=${createHmac('sha256', key).update(`v0:${seconds}:${body}`).digest('hex')}`;
    const headers = { 'x-slack-signature': signature, 'x-slack-request-timestamp': seconds };
    verifySlackRequest({ signingSecret: key, body, headers });
    return [{ ...headers, 'x-slack-request-timestamp': `${seconds}`, ...json }, body];
  },
  async twilio(key, n) {
    const fields = { MessageSid: `SM_node_${n}`, Body: 'Hällo, & co', From: '+14158675309' };
    const signature = twilio.getExpectedTwilioSignature(key, url('twilio'), fields);
    return [{ 'x-twilio-signature': signature, 'i-twilio-idempotency-token': `node-${n}`, ...form }, `${new URLSearchParams(fields)}`];
  },
};

async function post(to, headers, body, expected) {
  const answer = await fetch(to, { method: 'POST', headers, body });
  const text = await answer.text();
  if (answer.status !== expected) throw new Error(`${to} answered ${answer.status}, not ${expected}: ${text}`);
  return text;
}

for (const [trigger, sign] of Object.entries(senders)) {
  for (const [n, key] of keys.entries()) {
    const [headers, body] = await sign(key, n);
    await post(url(trigger), headers, `${body} `, 401);
    await post(url(trigger), headers, body, 202);
    await post(url(trigger), headers, body, 202);
  }
  const [headers, body] = await sign('whsec_b3RoZXIta2V5', 9);
  await post(url(trigger), headers, body, 401);
}

const challenge = JSON.stringify({ type: 'url_verification', challenge: 'c-1' });
const signature = `v0=${createHmac('sha256', keys[0]).update(`v0:${seconds}:${challenge}`).digest('hex')}`;
const slack = { 'x-slack-signature': signature, 'x-slack-request-timestamp': `${seconds}`, ...json };
if ((await post(url('slack'), slack, challenge, 200)) !== 'c-1') throw new Error('the challenge of Slack did not come back');

// Notion posts its key first, and signs with it from then on.
await post(url('notion'), json, JSON.stringify({ verification_token: 'secret_node' }), 200);
const page = JSON.stringify({ id: 'n-1', type: 'page.created' });
const notion = (key) => ({ 'x-notion-signature': `sha256=${createHmac('sha256', key).update(page).digest('hex')}`, ...json });
await post(url('notion'), notion('secret_node'), page, 202);
await post(url('notion'), notion('secret_other'), page, 401);
await post(url('notion'), json, JSON.stringify({ verification_token: 'secret_thief' }), 401);

const batch = JSON.stringify([
  { subscriptionType: 'contact.creation', portalId: 1, n: 'a' },
  { subscriptionType: 'contact.creation', portalId: 2, n: 'b' },
  { subscriptionType: 'contact.creation', portalId: 3, n: 'c' },
  { subscriptionType: 'contact.deletion', portalId: 1, n: 'd' },
]);
const batchSignature = new StandardWebhook(keys[1]).sign('msg_app_node', now, batch);
const appHeaders = { 'webhook-id': 'msg_app_node', 'webhook-timestamp': `${seconds}`, 'webhook-signature': batchSignature, ...json };
for (let times = 0; times < 2; times += 1) {
  const { received, dispatched, unroutable } = JSON.parse(await post(app, appHeaders, batch, 202));
  if (`${received} ${dispatched} ${unroutable}` !== '4 2 1') throw new Error(`the app: ${received} ${dispatched} ${unroutable}`);
}
console.log('node: ok');
