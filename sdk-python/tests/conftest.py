"""What the tests share: the server that they are given, and one that answers as it is told."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Iterator

import pytest

import fastn

sys.path.insert(0, str(Path(__file__).parent))

from scripted import Scripted  # noqa: E402


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """A server on this machine that answers as it is told."""
    with Scripted() as server:
        yield server


@pytest.fixture
def client(scripted: Scripted) -> Iterator[fastn.Fastn]:
    """A client of it."""
    with fastn.Fastn(url=scripted.url, access_key="fsk_test_x", account="acc_x") as client:
        yield client


@pytest.fixture
def node() -> Iterator[fastn.Fastn]:
    """A client of the server that `FASTN_URL` names."""
    if not os.environ.get("FASTN_URL"):
        pytest.skip("needs a server: sdk-python/check.sh starts one, or set FASTN_URL and FASTN_ACCESS_KEY")
    with fastn.Fastn() as client:
        yield client


@pytest.fixture
def run() -> str:
    """What no other run has, for ids."""
    return "py" + secrets.token_hex(5)
