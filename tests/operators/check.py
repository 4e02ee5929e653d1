"""Runs a server, makes workflows fail, and looks at what its operators and their receivers get.

Property: a rule that fires tells each channel once, over kill -9 too, in a form that the receiver's own library accepts;
every metric of the dashboard and of the alert rules is exported; every execution is one trace in the collector, whose call
span is the parent that the called endpoint sees; and no secret is in what the server logs.
"""

import asyncio
import json
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiosmtpd.smtp import SMTP
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from standardwebhooks.webhooks import Webhook

REPOSITORY = Path(__file__).resolve().parents[2]
DEADLINE_S = 120
WHSEC = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SENDER = "00f067aa0ba902b7"


class Heard:
    """What every receiver was sent."""

    hooks, slack, mails, calls, spans = [], [], [], [], {}


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path == "/hook":
            Webhook(WHSEC).verify(body, {name.lower(): value for name, value in self.headers.items()})
            Heard.hooks.append((self.headers["webhook-id"], json.loads(body)))
        elif self.path == "/slack/T000/B000/hidden-token":
            Heard.slack.append(json.loads(body)["text"])
        elif self.path == "/v1/traces":
            assert self.headers["content-type"] == "application/x-protobuf"
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
                for scope in resource.scope_spans:
                    for span in scope.spans:
                        Heard.spans[span.span_id] = span
        else:
            Heard.calls.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *arguments):
        pass


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        Heard.mails.append((envelope.rcpt_tos, envelope.content.decode()))
        return "250 taken"


def serve_mail():
    """A mail server on a port that the system chooses."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    server = loop.create_server(lambda: SMTP(Mailbox(), loop=loop), "127.0.0.1", 0)
    return asyncio.run_coroutine_threadsafe(server, loop).result(10).sockets[0].getsockname()[1]


def eventually(what, look):
    until = time.monotonic() + DEADLINE_S
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            heard = {name: value for name, value in vars(Heard).items() if not name.startswith("_")}
            raise AssertionError(f"not within {DEADLINE_S} s: {what}; heard {heard}")
        time.sleep(0.1)


class Server:
    def __init__(self, binary, data, collector):
        self.binary, self.data, self.collector = binary, data, collector
        self.log = Path(data) / "output"

    def start(self):
        seen = self.log.stat().st_size if self.log.exists() else 0
        arguments = ["serve", "--data", str(self.data), "--listen", "127.0.0.1:0", "--partitions", "2",
                     "--allow-private-addresses", "--otlp-url", self.collector]
        output = open(self.log, "ab")
        self.process = subprocess.Popen([self.binary, *arguments], stdout=output, stderr=output)
        pattern = re.compile(r'fastn listens on (127\.0\.0\.1:\d+)')

        def listens():
            assert self.process.poll() is None, self.log.read_text()
            return pattern.search(self.log.read_bytes()[seen:].decode())

        self.url = "http://" + eventually("it listens", listens).group(1)
        self.key = (Path(self.data) / "access.key").read_text().strip()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, method, path, body=None, headers=None, customer=None):
        headers = {"x-fastn-access-key": self.key, **(headers or {})}
        if customer:
            headers["x-fastn-account-tenant-id"] = customer
        data = None
        if body is not None:
            data, headers["content-type"] = json.dumps(body).encode(), "application/json"
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                text = answer.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        return json.loads(text) if text.startswith(("{", "[")) else text

    def cli(self, *arguments):
        command = [self.binary, *arguments, "--url", self.url, "--access-key", self.key, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout)


def publish(server, workflow, source):
    server.call("PUT", f"/v1/workflows/{workflow}", {"id": workflow})
    server.call("POST", f"/v1/workflows/{workflow}/versions", {"source": source})
    trigger = {"id": f"on_{workflow}", "source": {"type": "event", "types": [workflow]}, "routes": [{"workflow": workflow}]}
    server.call("PUT", f"/v1/triggers/on_{workflow}", trigger)


def configure(server, http, smtp_port):
    server.call("PUT", "/v1/customers/cus_acme", {"id": "cus_acme"})
    publish(server, "calls", f"""export default async function (ctx) {{
        return await ctx.step("outer", async () => (await fetch("{http}/target/path?token=t", {{method: "POST"}})).status);
    }}""")
    publish(server, "fails", "export default async function () { throw new Error('boom'); }")
    for name, value in [("HOOK", WHSEC), ("SLACK", f"{http}/slack/T000/B000/hidden-token"),
                        ("SMTP", f"smtp://127.0.0.1:{smtp_port}?tls=none")]:
        server.call("PUT", f"/v1/secrets/{name}", {"name": name, "value": value})
    rule = {
        "id": "failing", "name": "Too many failures", "description": "Look at the workflow fails.",
        "status": "enabled", "metric": "error_rate", "threshold": 50, "window": "1m", "workflow": "fails",
        "channels": [
            {"type": "webhook", "url": f"{http}/hook", "secret": "HOOK"},
            {"type": "slack", "secret": "SLACK"},
            {"type": "email", "to": ["ops@example.com"], "from": "fastn <alerts@example.com>", "secret": "SMTP"},
        ],
    }
    server.call("PUT", "/v1/alert-rules/failing", rule)


def send(server, kind, headers=None):
    return server.call("POST", "/v1/events", {"type": kind, "data": {}}, headers, "cus_acme")


def told(kind):
    """How many messages of a kind each channel was sent."""
    word = {"firing": "is firing", "resolved": "is resolved", "test": "is only a test"}[kind]
    return (
        len([body for _, body in Heard.hooks if body["type"] == f"alert.{kind}"]),
        len([text for text in Heard.slack if word in text]),
        len([mail for _, mail in Heard.mails if word in mail.split("\n\n")[0] or word in mail]),
    )


def check_alerts(server):
    tested = server.cli("alerts", "test", "failing")["notifications"]
    assert [each["status"] for each in tested] == ["delivered"] * 3, tested
    assert told("test") == (1, 1, 1), told("test")
    for _ in range(3):
        send(server, "fails")
    eventually("each channel is told", lambda: told("firing") == (1, 1, 1))
    shown = eventually("it is shown", lambda: server.call("GET", "/v1/alerts?state=firing")["items"])
    assert len(shown) == 1 and shown[0]["rule"] == "failing" and shown[0]["value"] == 100, shown
    eventually("all is delivered", lambda: all(
        each["status"] == "delivered" for each in server.call("GET", "/v1/alerts")["items"][0]["notifications"]))

    server.kill()
    server.start()
    eventually("rules are evaluated again", lambda: metric(server, "fastn_alert_rules_count") == 1)
    send(server, "fails")
    eventually("it is counted", lambda: metric(server, 'fastn_executions_finished_total{status="failed"}'))
    time.sleep(3)
    assert told("firing") == (1, 1, 1), f"told again after kill -9: {told('firing')}"

    silenced = server.cli("alerts", "silence", "failing", "--duration", "1h")
    assert silenced["silencedUntil"], silenced
    eventually("it is shown as silenced", lambda: server.call("GET", "/v1/alerts?state=silenced")["items"])
    server.cli("alerts", "unsilence", "failing")
    eventually("it is shown as firing", lambda: server.call("GET", "/v1/alerts?state=firing")["items"])
    server.cli("alerts", "pause", "failing")
    over = eventually("it is over", lambda: server.call("GET", "/v1/alerts?state=resolved")["items"])
    assert over[0]["resolvedBy"] == "paused", over
    assert told("resolved") == (0, 0, 0), told("resolved")
    assert len(server.cli("alerts", "list")) == 1


def metric(server, name):
    for line in server.call("GET", "/metrics").splitlines():
        if line.startswith(name + " "):
            return float(line.rsplit(" ", 1)[1])
    return None


def check_metrics(server):
    exported = set()
    for line in server.call("GET", "/metrics").splitlines():
        if line and not line.startswith("#"):
            exported.add(re.match(r"[a-zA-Z_:][a-zA-Z0-9_:]*", line).group())
    for file in ["ops/prometheus/alerts.yaml", "ops/grafana/fastn.json"]:
        named = set(re.findall(r"\bfastn_[a-z0-9_]+\b", (REPOSITORY / file).read_text()))
        missing = sorted(named - exported)
        assert named and not missing, f"{file} names metrics that the server does not export: {missing}"
    print(f"every metric of rules and dashboard is among the {len(exported)} that are exported")


def attributes(span):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def check_traces(server):
    headers = {"traceparent": f"00-{TRACE}-{SENDER}-01", "tracestate": "vendor=1"}
    send(server, "calls", headers)
    call = eventually("the endpoint is called", lambda: Heard.calls)[0]
    version, trace, parent, flags = call["traceparent"].split("-")
    assert (version, trace, flags) == ("00", TRACE, "01") and parent != SENDER, call
    assert call["tracestate"] == "vendor=1", call
    span = eventually("the call's span is exported", lambda: Heard.spans.get(bytes.fromhex(parent)))
    assert span.trace_id.hex() == TRACE and span.kind == 3, span
    told = attributes(span)
    assert told["http.response.status_code"] == 200 and told["server.address"] == "127.0.0.1", told
    step = Heard.spans[span.parent_span_id]
    root = Heard.spans[step.parent_span_id]
    assert step.name == "outer" and root.name == "calls", (step.name, root.name)
    assert root.parent_span_id.hex() == SENDER and attributes(root)["fastn.customer"] == "cus_acme"
    assert root.start_time_unix_nano <= step.start_time_unix_nano <= span.start_time_unix_nano
    everything = str(Heard.spans)
    assert "path" not in everything and "token" not in everything, "a span tells a path or a query"
    failed = eventually("the failures' spans", lambda: [s for s in Heard.spans.values() if s.name == "fails"])
    assert all(span.status.code == 2 and span.status.message == "Error" for span in failed), failed
    assert len({span.trace_id for span in failed}) == len(failed), "each execution is a trace of its own"


def check_log(server):
    text = server.log.read_text()
    for secret in [WHSEC, WHSEC[6:], "hidden-token"]:
        assert secret not in text, "a secret is in the server's log"


def main():
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    smtp_port = serve_mail()
    http = f"http://127.0.0.1:{receiver.server_address[1]}"
    with tempfile.TemporaryDirectory() as data:
        server = Server(sys.argv[1], data, http)
        server.start()
        try:
            configure(server, http, smtp_port)
            check_alerts(server)
            check_traces(server)
            check_metrics(server)
            check_log(server)
        except BaseException:
            print(server.log.read_text()[-4000:], file=sys.stderr)
            raise
        finally:
            server.kill()
    print("alerts, metrics and traces are as they must be")


if __name__ == "__main__":
    main()
