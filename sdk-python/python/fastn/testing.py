"""A fastn of your own for your tests: an embedded platform whose clock you move and whose calls to the outside you answer.

With pytest, name the plugin in ``conftest.py`` and ask for the fixture::

    pytest_plugins = ["fastn.testing"]

    def test_reminder(fastn_server):
        fastn_server.mock("POST", "https://mail.example/send", status=202)
        client = fastn_server.client().customer(fastn_server.customer)
        ...
        fastn_server.advance("25h")
        assert fastn_server.calls()[0]["body"]["to"] == "ada@example.com"

Each test finds the server empty. What the server is started with is said by a marker::

    @pytest.mark.fastn_server(project="integration", frozen=True, at="2026-03-29T00:00:00Z")

Without pytest, ``start_test_server()`` gives the same as a context manager. It starts the program ``fastn``: the one that
``FASTN_BIN`` names, else the one on the ``PATH``. The program ends with this process, however this process ends.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, TypedDict, cast

if TYPE_CHECKING:
    import pytest

    from fastn import AsyncFastn, Fastn

__all__ = ["Call", "Moved", "TestServer", "TestServerError", "start_test_server"]

#: How long a server may take to start, in seconds.
START_SECONDS_MAX = 30.0
#: How long a move of the clock may take, in seconds of real time.
MOVE_SECONDS_MAX = 60.0
#: What an answer may take beyond what the server was told to wait.
ANSWER_SECONDS = 30.0


class TestServerError(Exception):
    """The test server did not start, or did not do what it was asked for."""

    __test__ = False


class Call(TypedDict, total=False):
    """A call to the outside that was made."""

    at: str
    by: str
    method: str
    url: str
    headers: dict[str, str]
    body: Any
    customer: str
    workflow: str
    execution: str
    step: str
    answered: str
    status: int


class Moved(TypedDict):
    """Where the clock is, and what happened since it was moved or waited for before."""

    now: str
    executionsStarted: int
    stops: int


def _binary(binary: str | os.PathLike[str] | None) -> str:
    named = binary or os.environ.get("FASTN_BIN")
    if named:
        return os.fspath(named)
    found = shutil.which("fastn")
    if found is None:
        raise TestServerError("there is no program fastn on the PATH; install it, or name it in FASTN_BIN")
    return found


def _duration(value: timedelta | str) -> str:
    if isinstance(value, str):
        return value
    return f"{round(value.total_seconds() * 1000)}ms"


def _instant(value: datetime | str) -> str:
    if isinstance(value, str):
        return value
    if value.tzinfo is None:
        raise ValueError("an instant needs a time zone, e.g. datetime(2026, 3, 29, tzinfo=timezone.utc)")
    return value.astimezone(timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


class TestServer:
    """A running test server. Use it as a context manager, or call :meth:`close`."""

    __test__ = False

    def __init__(self, process: subprocess.Popen[bytes], ready: Mapping[str, str]) -> None:
        self._process = process
        #: Where it listens.
        self.url: str = ready["url"]
        #: A key of the account.
        self.access_key: str = ready["accessKey"]
        #: The account.
        self.account: str = ready["account"]
        #: The first customer of the project, or one that was made.
        self.customer: str = ready["customer"]

    def client(self, **options: Any) -> Fastn:
        """A client of the account. ``options`` go to ``fastn.Fastn``."""
        from fastn import Fastn

        return Fastn(url=self.url, access_key=self.access_key, account=self.account, **options)

    def async_client(self, **options: Any) -> AsyncFastn:
        """An asynchronous client of the account. ``options`` go to ``fastn.AsyncFastn``."""
        from fastn import AsyncFastn

        return AsyncFastn(url=self.url, access_key=self.access_key, account=self.account, **options)

    def now(self) -> datetime:
        """The time that the platform goes by."""
        answer = cast("dict[str, str]", self._ask("GET", "/test/clock"))
        return datetime.fromisoformat(answer["now"].replace("Z", "+00:00"))

    def advance(self, by: timedelta | str, *, timeout: float = MOVE_SECONDS_MAX) -> Moved:
        """Moves the clock, e.g. by ``"25h"``, through all that becomes due on the way, and waits until nothing goes on."""
        return self._move({"advance": _duration(by)}, timeout)

    def advance_to(self, to: datetime | str, *, timeout: float = MOVE_SECONDS_MAX) -> Moved:
        """Moves the clock to an instant like that."""
        return self._move({"to": _instant(to)}, timeout)

    def settle(self, *, timeout: float = MOVE_SECONDS_MAX) -> Moved:
        """Waits until nothing goes on: every execution has ended, or waits for time or for somebody."""
        path = f"/test/settle?timeout={round(timeout * 1000)}ms"
        return cast("Moved", self._ask("POST", path, timeout=timeout + ANSWER_SECONDS))

    def mock(
        self,
        method: str,
        url: str,
        *,
        status: int = 200,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        times: int | None = None,
        delay: timedelta | str | None = None,
        fails: str | None = None,
    ) -> None:
        """Answers calls to the outside, after the mocks that are there. In ``url``, ``*`` is all but a slash and ``**`` all."""
        mock: dict[str, Any] = {"method": method, "url": url, "status": status, "headers": dict(headers or {})}
        said = {"body": body, "times": times, "fails": fails, "delay": None if delay is None else _duration(delay)}
        mock.update({name: value for name, value in said.items() if value is not None})
        self._ask("POST", "/test/mocks", mock)

    def set_mocks(self, mocks: Sequence[Mapping[str, Any]]) -> None:
        """Answers calls with these instead of all that were there."""
        self._ask("PUT", "/test/mocks", [dict(mock) for mock in mocks])

    def calls(self) -> list[Call]:
        """The calls to the outside that were made, in order, without credentials."""
        return cast("list[Call]", self._ask("GET", "/test/calls"))

    def reset(self) -> None:
        """Makes it empty again, as it was when it had started. Address, key and account stay."""
        self._ask("POST", "/test/reset", timeout=START_SECONDS_MAX)

    def close(self) -> None:
        """Ends it and waits until it has gone. Twice is once."""
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def __enter__(self) -> TestServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _move(self, to: dict[str, str], timeout: float) -> Moved:
        path = f"/test/clock?timeout={round(timeout * 1000)}ms"
        return cast("Moved", self._ask("POST", path, to, timeout=timeout + ANSWER_SECONDS))

    def _ask(self, method: str, path: str, body: object = None, *, timeout: float = ANSWER_SECONDS) -> object:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("content-type", "application/json")
        # The proxy of the environment is none of a server on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=timeout) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                text = error.read().decode(errors="replace")
            try:
                detail = str(json.loads(text)["detail"])
            except (ValueError, KeyError, TypeError):
                detail = text
            raise TestServerError(f"{method} {urllib.parse.urlsplit(path).path}: {detail}") from None


def start_test_server(
    project: str | os.PathLike[str] | None = None,
    *,
    at: datetime | str | None = None,
    frozen: bool = False,
    allow_network: bool = False,
    verbose: bool = False,
    binary: str | os.PathLike[str] | None = None,
) -> TestServer:
    """Starts a test server and waits until it is ready.

    :param project: a project's folder to fill it with, as ``fastn dev`` does
    :param at: where its clock starts; now when absent
    :param frozen: whether the clock stands still but for when it is moved
    :param allow_network: whether calls go out that no mock answers
    :param verbose: whether it writes log lines to standard error
    :param binary: the program ``fastn``; see the head of this module
    """
    command = [_binary(binary), "test-server", "--with-stdin"]
    if project is not None:
        command.append(os.fspath(project))
    if at is not None:
        command += ["--at", _instant(at)]
    flags = {"--frozen": frozen, "--allow-network": allow_network, "--verbose": verbose}
    command += [flag for flag, given in flags.items() if given]
    with tempfile.TemporaryFile() as told:
        errors = None if verbose else told
        try:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)
        except OSError as error:
            raise TestServerError(f"{command[0]} does not start: {error}") from error
        late = threading.Timer(START_SECONDS_MAX, process.kill)
        late.start()
        try:
            line = process.stdout.readline() if process.stdout is not None else b""
        finally:
            late.cancel()
        if not line:
            process.kill()
            process.wait()
            told.seek(0)
            raise TestServerError(f"the test server did not start: {told.read().decode(errors='replace').strip()}")
    return TestServer(process, cast("dict[str, str]", json.loads(line)))


try:
    import pytest as _pytest
except ImportError:
    pass
else:

    def pytest_configure(config: pytest.Config) -> None:
        """Makes the marker known."""
        config.addinivalue_line(
            "markers", "fastn_server(project, at, frozen, allow_network): how the fixture fastn_server is started"
        )

    @_pytest.fixture(scope="session")
    def _fastn_servers() -> Iterator[dict[str, TestServer]]:
        """One server for each way to start it, for all tests of the session."""
        servers: dict[str, TestServer] = {}
        yield servers
        for server in servers.values():
            server.close()

    @_pytest.fixture
    def fastn_server(request: pytest.FixtureRequest, _fastn_servers: dict[str, TestServer]) -> TestServer:
        """A test server that holds nothing but its project."""
        marker = request.node.get_closest_marker("fastn_server")
        options: dict[str, Any] = dict(marker.kwargs) if marker is not None else {}
        known = repr(sorted(options.items(), key=lambda option: option[0]))
        server = _fastn_servers.get(known)
        if server is None:
            server = _fastn_servers[known] = start_test_server(**options)
        else:
            server.reset()
        return server
