"""JSON: Python's objects to text and back."""

from __future__ import annotations

import collections
import datetime as dt
import decimal
import enum
import json
import math
import random
import types
import uuid
from typing import Any

import pytest

from fastn import _native
from fastn.models import CapturedToken, ExecutionView


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


Point = collections.namedtuple("Point", "x y")

WRITTEN: list[tuple[Any, Any]] = [
    ({"a": [1, -2.5, True, None, "ä€😀\n\"\\"]}, {"a": [1, -2.5, True, None, "ä€😀\n\"\\"]}),
    (2**80, 2**80),
    (dt.datetime(2026, 11, 26, 3, 4, 5, 678, dt.timezone.utc), "2026-11-26T03:04:05.000678+00:00"),
    (dt.date(2026, 11, 26), "2026-11-26"),
    (dt.timedelta(minutes=90), "5400s"),
    (uuid.UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Point(1, 2), [1, 2]),
    (types.MappingProxyType({"k": (1,)}), {"k": [1]}),
    (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
    ({Colour.RED: 1, 7: 2, uuid.UUID(int=1): 3}, {"red": 1, "7": 2, "00000000-0000-0000-0000-000000000001": 3}),
]


@pytest.mark.parametrize("given, told", WRITTEN, ids=[repr(given)[:30] for given, _ in WRITTEN])
def test_objects_are_written(given: Any, told: Any) -> None:
    """Property: what Python has is written as the API has it, and reads as the same again."""
    assert json.loads(_native.dumps(given)) == told


def test_decimals_keep_their_digits() -> None:
    """Property: a decimal is a number with all its digits."""
    assert _native.dumps(decimal.Decimal("12.340000000000000000001")) == b"12.340000000000000000001"


REFUSED: list[tuple[Any, type[Exception], str]] = [
    ({"data": {"prices": [1.0, math.nan]}}, ValueError, r"\$\.data\.prices\[1\]"),
    ({"n": math.inf}, ValueError, r"\$\.n"),
    ({"n": decimal.Decimal("NaN")}, ValueError, r"\$\.n"),
    ({"text": "\ud800"}, ValueError, r"\$\.text"),
    ({"file": b"bytes"}, TypeError, r"\$\.file .*bytes"),
    ({"some": {1, 2}}, TypeError, "set"),
    ({(1, 2): 1}, TypeError, "key"),
    ({"t": dt.timedelta(milliseconds=1)}, ValueError, "whole seconds"),
]


@pytest.mark.parametrize("given, kind, told", REFUSED, ids=[told for *_, told in REFUSED])
def test_what_is_no_json_is_told_where(given: Any, kind: type[Exception], told: str) -> None:
    """Property: what JSON cannot say is an error that says where it stands."""
    with pytest.raises(kind, match=told):
        _native.dumps(given)


def test_what_holds_itself_is_refused() -> None:
    """Property: an object without an end is an error, not a crash."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(ValueError, match="too deep"):
        _native.dumps(endless)


def made(dice: random.Random, depth: int) -> Any:
    kind = dice.randrange(8 if depth else 5)
    if kind == 0:
        return dice.choice([None, True, False])
    if kind == 1:
        return dice.choice([0, -1, 2**53, -(2**63), 2**64 - 1, dice.randrange(10**9)])
    if kind == 2:
        return dice.choice([0.5, -1e-7, 1e300, dice.random()])
    if kind <= 4:
        return "".join(dice.choice("aä€😀\n\"\\\u2028 z") for _ in range(dice.randrange(12)))
    if kind == 5:
        return [made(dice, depth - 1) for _ in range(dice.randrange(5))]
    keys = ["id", "a", "b", "ä", "x\n", "items"]
    if kind == 6:
        return {key: made(dice, depth - 1) for key in dice.sample(keys, dice.randrange(len(keys)))}
    # Rows of a few shapes, with values that come again.
    values = ["same", "other", 1, None, made(dice, depth - 1)]
    return [{key: dice.choice(values) for key in keys[: dice.randrange(1, 6)]} for _ in range(dice.randrange(9))]


def test_text_reads_as_the_standard_library_reads_it() -> None:
    """Property: any JSON reads as `json.loads` reads it, in rows of a list as elsewhere, and each row is an object of its own."""
    for seed in range(3_000):
        dice = random.Random(seed)
        told = made(dice, 4)
        text = json.dumps(told, ensure_ascii=dice.random() < 0.5, indent=dice.choice([None, 1])).encode()
        assert _native.loads(text) == json.loads(text), seed
        assert _native.loads(_native.dumps(told)) == json.loads(text), seed
    rows = _native.loads(b'[{"a":1,"b":"x"},{"a":1,"b":"x"},{"a":1,"a":2},{"a":2,"a":2},{"a":1,"b":{}},{"a":1,"b":{}}]')
    assert rows == [{"a": 1, "b": "x"}, {"a": 1, "b": "x"}, {"a": 2}, {"a": 2}, {"a": 1, "b": {}}, {"a": 1, "b": {}}]
    rows[0]["a"] = 5
    rows[4]["b"]["c"] = 1
    assert rows[1]["a"] == 1 and rows[5]["b"] == {}


@pytest.mark.parametrize("text", [b"{", b"[1,]", b'{"a":}', b"nul", b'"\xff"', b"{} x", b"[" * 500, b"01", b"'a'", b"NaN"])
def test_what_is_no_json_is_an_error(text: bytes) -> None:
    """Property: text that is no JSON is an error."""
    with pytest.raises(ValueError):
        _native.loads(text)


def test_models_are_dictionaries_with_attributes() -> None:
    """Property: an answer is the dictionary that was sent, and has attributes with Python's types; nested ones are the same objects
    however they are reached."""
    told = {
        "id": "exec_1",
        "status": "completed",
        "createdAt": "2026-11-26T03:04:05.123456789Z",
        "error": {"message": "no", "category": "code"},
        "steps": [{"name": "first"}],
    }
    view = ExecutionView(told)
    assert view == told and json.loads(json.dumps(view)) == told and {**view} == told
    assert view.status == "completed" and view.finished_at is None
    assert view.error is not None and view.error.message == "no" and view.error is view["error"]
    assert view.steps is not None and view.steps[0].name == "first"
    view.error["message"] = "yes"
    assert view["error"]["message"] == "yes"


def test_secrets_are_not_printed() -> None:
    """Property: a secret that an answer holds does not stand in what is printed of it."""
    assert "s3cret" not in repr(CapturedToken({"token": "s3cret"}))
