"""Receives what a webhook channel of an alert rule is sent, and takes only what is fastn's own.

    FASTN_WEBHOOK_SECRET=whsec_… python webhook_receiver.py 8080
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from fastn import WebhookVerificationError, verify_webhook
from fastn.models import AlertNotice

SECRETS = [os.environ.get("FASTN_WEBHOOK_SECRET", "")]
seen: set[str] = set()


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0")))
        try:
            verify_webhook(SECRETS, list(self.headers.items()), body)
        except WebhookVerificationError as error:
            self.send_error(401, str(error))
            return
        # A message may come again; its id stays.
        if self.headers["webhook-id"] not in seen:
            seen.add(self.headers["webhook-id"])
            notice = AlertNotice(json.loads(body))
            print(notice.type, notice.data.name, notice.data.value)
        self.send_response(204)
        self.end_headers()


if __name__ == "__main__":
    HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
