"""What answers are made of: dictionaries that have attributes as well."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, TypeVar

_FRACTION = re.compile(r"\.(\d+)")


class Model(dict[str, Any]):
    """An answer of the API. As a dictionary it is what the server sent; as an object it has Python's names and types."""

    __slots__ = ()
    _hidden: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        shown = {key: "…" if key in self._hidden else value for key, value in self.items()}
        return f"{type(self).__name__}({shown!r})"


M = TypeVar("M", bound=Model)


def one(model: Model, key: str, kind: type[M]) -> Any:
    """The object under a key, with its attributes; the dictionary holds it from now on."""
    value = model.get(key)
    if type(value) is dict:
        value = model[key] = kind(value)
    return value


def rows(model: Model, key: str, kind: type[M]) -> Any:
    """The same for a list of objects."""
    values: list[Any] | None = model.get(key)
    for at, value in enumerate(values or ()):
        if values is not None and type(value) is dict:
            values[at] = kind(value)
    return values


def instant(model: Model, key: str) -> datetime | None:
    """The instant under a key, to the microsecond."""
    text = model.get(key)
    return None if text is None else parsed(text)


def parsed(text: str) -> datetime:
    """An instant after RFC 3339."""
    text = _FRACTION.sub(lambda found: "." + found[1][:6].ljust(6, "0"), text, count=1)
    return datetime.fromisoformat(text[:-1] + "+00:00" if text[-1:] in "zZ" else text)
