"""Calls against a server that answers as it is told: attempts, errors, time limits, proxies, authorities, other regions."""

from __future__ import annotations

import datetime as dt
import json
import os
import pickle
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import fastn
from scripted import Answer, Scripted, problem, unused_port

SOON = {"retry-after": "0"}


def test_writes_are_repeated_with_their_key(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: a write that met a busy server is sent again with the same idempotency key and body."""
    scripted.script = [
        Answer(503, problem("SERVICE_UNAVAILABLE", 503), SOON),
        Answer(429, problem("RATE_LIMITED", 429), SOON),
        Answer(202, {"executionId": "exec_2", "status": "queued"}),
    ]
    answer = client.customer("cus_a").run("triage", {"n": 1})
    assert answer.execution_id == answer["executionId"] == "exec_2"
    assert len(scripted.seen) == 3
    assert {seen.headers["idempotency-key"] for seen in scripted.seen} == {scripted.seen[0].headers["idempotency-key"]}
    assert all(seen.json() == {"input": {"n": 1}} for seen in scripted.seen)
    first = scripted.seen[0]
    assert (first.method, first.path) == ("POST", "/v1/workflows/triage/run")
    assert first.headers["x-fastn-access-key"] == "fsk_test_x"
    assert first.headers["x-fastn-account-tenant-id"] == "cus_a"
    assert first.headers["user-agent"].startswith("fastn-sdk-python/")


def test_what_may_not_be_repeated_is_not(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: a webhook sent in its provider's place has no key and is sent once when it is not known what became of it."""
    scripted.script = [Answer(raw=b"")]
    with pytest.raises(fastn.UnknownOutcomeError):
        client.send_webhook("hook", {"x-of": "provider"}, b"{}")
    assert len(scripted.seen) == 1
    assert "idempotency-key" not in scripted.seen[0].headers
    assert scripted.seen[0].headers["x-of"] == "provider"


def test_errors_tell_all(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: an error has the class of its code and all that the server said; it survives pickling; a code of a newer server is
    an ApiError."""
    told = problem("QUOTA_EXCEEDED", 429, executionId="exec_1", errors=[{"path": "a.b", "message": "is bad"}])
    scripted.script = [
        Answer(429, told, {"retry-after": "7", "x-request-id": "req_9"}),
        Answer(418, problem("TEAPOT", 418)),
        Answer(500, b"<html>"),
    ]
    with pytest.raises(fastn.QuotaExceededError) as caught:
        client.put_customer({"id": "a"})
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert type(error) is fastn.QuotaExceededError and isinstance(error, fastn.ApiError)
        assert (error.code, error.status, error.retry_after) == ("QUOTA_EXCEEDED", 429, 7.0)
        assert (error.request_id, error.execution_id) == ("req_9", "exec_1")
        assert error.operation == "PUT /v1/customers/a" and error.details == told
        assert error.fields == [fastn.FieldError("a.b", "is bad")]
        assert "because" in str(error) and "a.b: is bad" in str(error) and "req_9" in str(error)
    with pytest.raises(fastn.ApiError) as newer:
        client.workflow("w")
    assert type(newer.value) is fastn.ApiError and newer.value.code == "TEAPOT"
    with pytest.raises(fastn.ApiError) as page:
        client.workflow("w")
    assert page.value.status == 500 and page.value.details == {}


def test_parameters_and_bodies(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: parts of the path are encoded, filters have their names of the wire, what stands in the body names the path, and what
    the server added to an object is not sent back."""
    scripted.default = lambda seen: Answer(200, {"items": []} if seen.method == "GET" else {"id": "x"})
    list(client.executions(status="failed", event_id="e/1", since=dt.datetime(2026, 1, 2, tzinfo=dt.timezone.utc)))
    assert "status=failed" in scripted.seen[-1].path and "eventId=e%2F1" in scripted.seen[-1].path
    assert "since=2026-01-02T00%3A00%3A00%2B00%3A00" in scripted.seen[-1].path
    with pytest.raises(ValueError, match="time zone"):
        client.executions(since=dt.datetime(2026, 1, 2))
    workflow = fastn.models.StoredWorkflow(id="a b/c", revision=3, createdAt="…", updatedAt="…", name="n")
    client.put_workflow(workflow, if_match=workflow.revision, idempotency_key="mine", timeout=dt.timedelta(seconds=3))
    seen = scripted.seen[-1]
    assert seen.path == "/v1/workflows/a%20b%2Fc" and seen.json() == {"id": "a b/c", "name": "n"}
    assert (seen.headers["if-match"], seen.headers["idempotency-key"]) == ("3", "mine")
    client.deploy("w", "live", 4)
    assert scripted.seen[-1].json() == {"version": 4}
    client.silence_alert_rule("r", dt.timedelta(hours=2))
    assert scripted.seen[-1].json() == {"duration": "7200s"}
    before = len(scripted.seen)
    for call in (lambda: client.workflow(""), lambda: client.workflow(".."), lambda: client.put_workflow({})):  # type: ignore[typeddict-item]
        with pytest.raises(fastn.ConfigError):
            call()
    assert len(scripted.seen) == before


def test_lists_ask_for_their_pages(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: a list reads on over pages as it is read, and no further; a page is a list with the place of the next."""
    pages = {"": (["a", "b"], "1"), "1": ([], "2"), "2": (["c"], None)}

    def paged(seen: Any) -> Answer:
        cursor = seen.path.partition("cursor=")[2].partition("&")[0]
        rows, following = pages[cursor]
        return Answer(200, {"items": [{"id": row} for row in rows], "nextCursor": following})

    scripted.default = paged
    assert [row.id for row in client.workflows(page_size=2)] == ["a", "b", "c"]
    assert len(scripted.seen) == 3 and all("limit=2" in seen.path for seen in scripted.seen)
    reading = iter(client.workflows())
    assert next(reading).id == "a" and len(scripted.seen) == 4
    page = client.workflows().page(limit=2)
    assert [type(row) for row in page] == [fastn.models.StoredWorkflow] * 2 and page.next_cursor == "1"
    assert [row.id for row in client.workflows().take(3)] == ["a", "b", "c"]


@pytest.mark.parametrize("answer", [b"{", b"[]", b"nonsense", b'"text"', b"\xff\xfe", b""])
def test_answers_that_are_not_understood(client: fastn.Fastn, scripted: Scripted, answer: bytes) -> None:
    """Property: an answer that is no JSON, or not the object that it must be, is a BadAnswerError, in lists too."""
    scripted.default = Answer(200, answer)
    with pytest.raises(fastn.BadAnswerError, match="not understood"):
        client.workflow("w")
    with pytest.raises(fastn.BadAnswerError, match="not understood"):
        list(client.workflows())


def test_answers_that_break_off(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: a truncated answer is asked for again, and is an UnknownOutcomeError when it breaks off every time."""
    short = Answer(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
    scripted.script = [short, Answer(200, {"id": "w"})]
    assert client.workflow("w").id == "w"
    scripted.script = [short] * 4
    with pytest.raises(fastn.UnknownOutcomeError):
        client.workflow("w")
    assert len(scripted.seen) == 6


def test_slow_answers_end(scripted: Scripted) -> None:
    """Property: an answer that does not come ends with the time limit, the client's or the call's; the server may have done it."""
    stop = threading.Event()
    scripted.default = Answer(200, {}, act=stop.wait)
    with fastn.Fastn(url=scripted.url, access_key="k", timeout=0.2, attempts_max=1) as client:
        with pytest.raises(fastn.UnknownOutcomeError, match="time ran out"):
            client.workflow("w")
        with pytest.raises(fastn.UnknownOutcomeError):
            client.put_workflow({"id": "w"}, timeout=dt.timedelta(milliseconds=50))
    stop.set()


def test_a_storm_of_refusals(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: when every thread is refused many times, each call still succeeds once it may, and none is done twice."""
    refused: dict[str, int] = {}
    lock = threading.Lock()

    def busy(seen: Any) -> Answer:
        key = seen.headers["idempotency-key"]
        with lock:
            refused[key] = refused.get(key, 0) + 1
            return Answer(429, problem("RATE_LIMITED", 429), SOON) if refused[key] < 3 else Answer(200, {"id": "x"})

    scripted.default = busy
    threads = [threading.Thread(target=client.put_customer, args=({"id": f"c{n}"},)) for n in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 40 and set(refused.values()) == {3}


def test_an_unreachable_server() -> None:
    """Property: a server that is not there is told as that, with the name of the setting."""
    with fastn.Fastn(url=f"http://127.0.0.1:{unused_port()}", access_key="k", attempts_max=1) as client:
        with pytest.raises(fastn.UnreachableError, match="FASTN_URL"):
            client.health()


def test_the_right_region(scripted: Scripted) -> None:
    """Property: a call for a customer of another region goes to the server that the first one names, and so do later ones."""
    with Scripted() as wrong:
        wrong.default = Answer(421, problem("WRONG_REGION", 421, baseUrl=scripted.url))
        scripted.default = Answer(200, {"eventId": "e"})
        with fastn.Fastn(url=wrong.url, access_key="k") as client:
            acme = client.customer("cus_eu")
            assert acme.send({"type": "t"}).event_id == "e"
            acme.send({"type": "t"})
        assert (len(wrong.seen), len(scripted.seen)) == (1, 2)


def test_a_proxy(scripted: Scripted) -> None:
    """Property: with a proxy, requests go through it."""
    with fastn.Fastn(url="http://fastn.invalid:7400", access_key="k", proxy=scripted.url) as client:
        scripted.default = Answer(200, {"id": "w"})
        assert client.workflow("w").id == "w"
    assert scripted.seen[0].path == "http://fastn.invalid:7400/v1/workflows/w"


def authorized(folder: Path) -> tuple[Path, Path, Path]:
    """An authority, and a certificate of it with its key."""

    def openssl(*given: str) -> None:
        subprocess.run(["openssl", *given], check=True, capture_output=True, cwd=folder)

    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *curve, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=tests")
    openssl("req", "-new", *curve, "-keyout", "key.pem", "-out", "request.pem", "-subj", "/CN=127.0.0.1")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    signed = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names"]
    openssl("x509", "-req", "-in", "request.pem", *signed, "-out", "cert.pem")
    return folder / "ca.pem", folder / "cert.pem", folder / "key.pem"


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    """Property: a server whose authority the machine does not know is trusted with its certificate as a path, text or bytes, and not
    without it."""
    authority, certificate, key = authorized(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with Scripted(tls) as server:
        server.default = Answer(200, {"id": "w"})
        for given in (authority, str(authority), authority.read_text(), authority.read_bytes()):
            with fastn.Fastn(url=server.url, access_key="k", ca_certificates=given) as client:
                assert client.workflow("w").id == "w"
        with fastn.Fastn(url=server.url, access_key="k", attempts_max=1) as client, pytest.raises(fastn.FastnError, match="certificate"):
            client.workflow("w")
    with pytest.raises(fastn.ConfigError, match="PEM"):
        fastn.Fastn(url="https://x.invalid", access_key="k", ca_certificates=b"nothing")
    with pytest.raises(fastn.ConfigError, match="cannot be read"):
        fastn.Fastn(url="https://x.invalid", access_key="k", ca_certificates=tmp_path / "none.pem")


def test_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scripted: Scripted) -> None:
    """Property: settings come from arguments, then the environment, then the file; keys and passwords are never printed."""
    for name in ("FASTN_URL", "FASTN_ACCESS_KEY", "FASTN_ACCOUNT_ID", "FASTN_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path / "inner")
    with pytest.raises(fastn.ConfigError, match="FASTN_ACCESS_KEY"):
        fastn.Fastn()
    (tmp_path / ".fastn").mkdir()
    file = {"url": scripted.url, "accessKey": "of-file", "account": "acc_file", "customer": "cus_file"}
    (tmp_path / ".fastn/config.json").write_text(json.dumps(file))
    with fastn.Fastn() as client:
        client.customer().send({"type": "t"})
        assert client.customer().id == "cus_file"
    monkeypatch.setenv("FASTN_ACCOUNT_ID", "acc_env")
    monkeypatch.setenv("FASTN_TENANT_ID", "cus_env")
    with fastn.Fastn(account="acc_arg") as client:
        client.health()
        client.account().health()
        with pytest.raises(AttributeError):
            client.send({"type": "t"})  # type: ignore[attr-defined]
    heads = [seen.headers for seen in scripted.seen]
    assert (heads[0]["x-fastn-access-key"], heads[0]["x-fastn-account-id"]) == ("of-file", "acc_file")
    assert heads[0]["x-fastn-account-tenant-id"] == "cus_file"
    assert (heads[1]["x-fastn-account-id"], heads[1]["x-fastn-account-tenant-id"]) == ("acc_arg", "cus_env")
    assert "x-fastn-account-tenant-id" not in heads[2]
    shown = fastn.Fastn(url="http://h", access_key="s3cret", proxy="http://u:s3cret@p")
    assert "s3cret" not in repr(shown) + repr(shown.customer("c")) and "of c" in repr(shown.customer("c"))
    with pytest.raises(fastn.ConfigError) as refused:
        fastn.Fastn(access_key="s3cret", url="http://h", proxy="http://u:s3cret@[")
    assert "s3cret" not in str(refused.value)


def test_other_threads_run_on(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: while a call waits for its answer, other threads run."""
    counted = 0
    arrived, go_on = threading.Event(), threading.Event()

    def waits() -> None:
        arrived.set()
        go_on.wait(30)

    scripted.default = Answer(200, {"id": "w"}, act=waits)
    thread = threading.Thread(target=client.workflow, args=("w",))
    thread.start()
    assert arrived.wait(30)
    for _ in range(100_000):
        counted += 1
    assert thread.is_alive()
    go_on.set()
    thread.join(30)
    assert counted == 100_000 and not thread.is_alive()


def test_ctrl_c_ends_a_call(scripted: Scripted) -> None:
    """Property: Ctrl-C ends a call that waits, and a signal's handler may use the same client meanwhile."""
    code = f"""
import fastn, signal, os
client = fastn.Fastn(url={scripted.url!r}, access_key="k", attempts_max=1)
signal.signal(signal.SIGUSR1, lambda *_: print("handled", client.workflow("quick").id, flush=True))
try:
    client.workflow("slow")
except KeyboardInterrupt:
    print("interrupted", flush=True)
client.close()
"""
    stop, arrived = threading.Event(), threading.Event()

    def answer(seen: Any) -> Answer:
        if seen.path.endswith("quick"):
            return Answer(200, {"id": "quick"})
        return Answer(200, {"id": "slow"}, act=lambda: (arrived.set(), stop.wait(60)))

    scripted.default = answer
    import signal
    import sys

    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and arrived.wait(30)
    os.kill(child.pid, signal.SIGUSR1)
    assert child.stdout.readline() == "handled quick\n"
    began = time.monotonic()
    os.kill(child.pid, signal.SIGINT)
    assert child.stdout.readline() == "interrupted\n"
    assert child.wait(30) == 0 and time.monotonic() - began < 20
    stop.set()


def test_closed_clients_say_so(client: fastn.Fastn) -> None:
    """Property: a call after close is an error that says so; closing again is no error; views are closed with their client."""
    view = client.customer("c")
    client.close()
    client.close()
    for call in (client.health, lambda: view.send({"type": "t"}), lambda: list(client.workflows())):
        with pytest.raises(fastn.ConfigError, match="closed"):
            call()


def test_closing_ends_calls_of_other_threads(scripted: Scripted) -> None:
    """Property: a call that waits in another thread ends with an error when the client is closed."""
    stop, arrived = threading.Event(), threading.Event()
    scripted.default = Answer(200, {}, act=lambda: (arrived.set(), stop.wait(60)))
    client = fastn.Fastn(url=scripted.url, access_key="k")
    failed: list[BaseException] = []

    def calls() -> None:
        try:
            client.health()
        except fastn.FastnError as error:
            failed.append(error)

    thread = threading.Thread(target=calls)
    thread.start()
    assert arrived.wait(30)
    client.close()
    thread.join(30)
    stop.set()
    assert len(failed) == 1 and "closed" in str(failed[0])


def test_webhooks(client: fastn.Fastn) -> None:
    """Property: the vector of Standard Webhooks' reference library is right at its time, by any spelling of the headers; a changed body
    is not."""
    headers = {
        "Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "Webhook-Timestamp": "1614265330",
        "Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    at = dt.datetime.fromtimestamp(1614265330, dt.timezone.utc)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    fastn.verify_webhook(secret, headers, b'{"test": 2432232314}', now=at)
    fastn.verify_webhook([secret], list(headers.items()), '{"test": 2432232314}', now=at, tolerance=dt.timedelta(minutes=1))
    with pytest.raises(fastn.WebhookVerificationError, match="signature"):
        fastn.verify_webhook(secret, headers, b"{}", now=at)
    with pytest.raises(fastn.WebhookVerificationError, match="time"):
        fastn.verify_webhook(secret, headers, b'{"test": 2432232314}')


def test_health(client: fastn.Fastn, scripted: Scripted) -> None:
    """Property: health is what the server says of itself."""
    scripted.default = Answer(200, {"status": "ok", "version": "1"})
    assert client.health().status == "ok"
    assert scripted.seen[-1].path == "/readyz"
