"""Sends webhooks to a real fastn, each signed by its provider's own library. Arguments: base URL, URL of the app.

Each is sent with both of the keys that are valid at once, must be taken as it is, and refused with one byte more.
"""

import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime, timezone

import stripe
from slack_sdk.signature import SignatureVerifier
from standardwebhooks.webhooks import Webhook as StandardWebhook
from svix.webhooks import Webhook as SvixWebhook
from twilio.request_validator import RequestValidator

BASE, APP = sys.argv[1:3]
KEYS = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"]
NOW = datetime.now(tz=timezone.utc)
SECONDS = str(int(NOW.timestamp()))
JSON = {"content-type": "application/json"}


def url(trigger):
    return f"{BASE}/v1/webhooks/{trigger}"


def post(to, headers, body, expected):
    request = urllib.request.Request(to, data=body.encode(), headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    assert status == expected, f"{to} answered {status}, not {expected}: {text}"
    return text


def standard(key, n):
    body = json.dumps({"type": "invoice.paid", "n": n})
    signature = StandardWebhook(key).sign(f"msg_python_{n}", NOW, body)
    return {"webhook-id": f"msg_python_{n}", "webhook-timestamp": SECONDS, "webhook-signature": signature, **JSON}, body


def svix(key, n):
    body = json.dumps({"event_type": "ping", "n": n})
    signature = SvixWebhook(key).sign(f"msg_svix_python_{n}", NOW, body)
    return {"svix-id": f"msg_svix_python_{n}", "svix-timestamp": SECONDS, "svix-signature": signature, **JSON}, body


def of_stripe(key, n):
    body = json.dumps({"id": f"evt_python_{n}", "object": "event", "type": "charge.succeeded"}, indent=2)
    signature = stripe.WebhookSignature._compute_signature(f"{SECONDS}.{body}", key)
    header = f"t={SECONDS},v1={signature}"
    stripe.WebhookSignature.verify_header(body, header, key, 300)
    return {"stripe-signature": header, **JSON}, body


def slack(key, n):
    body = json.dumps({"type": "event_callback", "event_id": f"Ev_python_{n}"})
    signature = SignatureVerifier(key).generate_signature(timestamp=SECONDS, body=body)
    return {"x-slack-signature": signature, "x-slack-request-timestamp": SECONDS, **JSON}, body


def twilio(key, n):
    fields = {"MessageSid": f"SM_python_{n}", "Body": "Hällo, & co", "From": "+14158675309"}
    signature = RequestValidator(key).compute_signature(url("twilio"), fields)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    headers = {"x-twilio-signature": signature, "i-twilio-idempotency-token": f"python-{n}", **kind}
    return headers, urllib.parse.urlencode(fields)


def main():
    for trigger, sign in {"standard": standard, "svix": svix, "stripe": of_stripe, "slack": slack, "twilio": twilio}.items():
        for n, key in enumerate(KEYS):
            headers, body = sign(key, n)
            post(url(trigger), headers, body + " ", 401)
            post(url(trigger), headers, body, 202)
            post(url(trigger), headers, body, 202)
        headers, body = sign("whsec_b3RoZXIta2V5", 9)
        post(url(trigger), headers, body, 401)
    batch = json.dumps([{"subscriptionType": "contact.creation", "portalId": 2, "n": time.time_ns()}])
    signature = StandardWebhook(KEYS[1]).sign("msg_app_python", NOW, batch)
    headers = {"webhook-id": "msg_app_python", "webhook-timestamp": SECONDS, "webhook-signature": signature, **JSON}
    answer = json.loads(post(APP, headers, batch, 202))
    assert (answer["received"], answer["dispatched"]) == (1, 1), answer
    print("python: ok")


main()
