"""The test server as a pytest fixture, by plain HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fastn.testing import TestServer, TestServerError, start_test_server

pytest_plugins = ["fastn.testing"]

REPOSITORY = Path(__file__).resolve().parents[2]
os.environ.setdefault("FASTN_BIN", str(REPOSITORY / "target" / "debug" / "fastn"))

SOURCE = """export default async (ctx) => {
    await ctx.sleep("24h");
    return (await fetch("https://mail.example/send", { method: "POST", body: JSON.stringify(ctx.input) })).status;
};"""


def ask(server: TestServer, method: str, path: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data=data, method=method)
    request.add_header("content-type", "application/json")
    request.add_header("x-fastn-access-key", server.access_key)
    request.add_header("x-fastn-account-tenant-id", server.customer)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def remind(server: TestServer) -> str:
    ask(server, "PUT", "/v1/workflows/reminder", {"id": "reminder", "tier": "long"})
    ask(server, "POST", "/v1/workflows/reminder/versions", {"source": SOURCE})
    run = ask(server, "POST", "/v1/workflows/reminder/run", {"input": {"to": "ada@example.com"}})
    return str(run["executionId"])


@pytest.mark.fastn_server(frozen=True, at="2026-03-29T00:00:00Z")
@pytest.mark.parametrize("time", [1, 2])
def test_a_day_passes_in_moments(fastn_server: TestServer, time: int) -> None:
    """Property: each test finds the server empty at its instant, and sees a day pass and the call that was made."""
    assert fastn_server.now() == datetime(2026, 3, 29, tzinfo=timezone.utc)
    assert ask(fastn_server, "GET", "/v1/executions")["items"] == []
    fastn_server.mock("POST", "https://mail.example/*", status=202, delay=timedelta(seconds=2))
    execution = remind(fastn_server)
    moved = fastn_server.advance(timedelta(hours=25))
    assert (moved["executionsStarted"], moved["now"]) == (1, "2026-03-30T01:00:00.000Z")
    assert ask(fastn_server, "GET", f"/v1/executions/{execution}")["output"] == 202
    assert [call["body"] for call in fastn_server.calls()] == [{"to": "ada@example.com"}]
    with pytest.raises(TestServerError, match="does not go back"):
        fastn_server.advance_to("2026-03-01T00:00:00Z")


@pytest.mark.fastn_server(project=str(REPOSITORY / "examples" / "github-triage"))
def test_a_project_is_there(fastn_server: TestServer) -> None:
    """Property: a project's workflows and customers are there, and the clock runs."""
    assert fastn_server.customer == "cus_acme"
    assert [one["id"] for one in ask(fastn_server, "GET", "/v1/workflows")["items"]] == ["triage"]
    before = fastn_server.now()
    fastn_server.settle()
    assert fastn_server.now() > before


def test_what_does_not_start_says_why(tmp_path: Path) -> None:
    """Property: a server that does not start tells why, and so does a program that is not there."""
    (tmp_path / "fastn.yaml").write_text("customesr: []\n")
    with pytest.raises(TestServerError, match="customesr"):
        start_test_server(tmp_path)
    with pytest.raises(TestServerError, match="does not start"):
        start_test_server(binary=tmp_path / "none")


def test_it_goes_with_its_parent() -> None:
    """Property: a server whose test process is killed ends by itself."""
    script = "import fastn.testing, os, signal; server = fastn.testing.start_test_server(); "
    script += "print(server._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    pid = int(killed.stdout)
    for _ in range(600):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        state = Path(f"/proc/{pid}/stat")
        if state.exists() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        import time

        time.sleep(0.05)
    pytest.fail(f"process {pid} is still there")
