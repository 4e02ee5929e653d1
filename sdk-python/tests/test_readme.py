"""What the README says works, word for word."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastn

HERE = Path(__file__).resolve().parents[1]
README = (HERE / "README.md").read_text()


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_example(node: fastn.Fastn, tmp_path: Path) -> None:
    """Property: the README's first example runs by itself and prints its result."""
    told = subprocess.run([sys.executable, "-c", blocks()[0]], capture_output=True, text=True, timeout=90, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("completed {'twice': 42} 20")


def test_the_quickstart_is_the_first_example() -> None:
    """Property: the example that is checked for types is the README's."""
    assert (HERE / "examples/quickstart.py").read_text().endswith(blocks()[0])


def test_the_batcher_as_it_is_shown(node: fastn.Fastn) -> None:
    """Property: the README's batcher sends what it is given."""
    node.put_customer({"id": "cus_acme"})
    exec(blocks()[1].replace("100_000", "1_000"), {"fastn": node})


@pytest.mark.parametrize("name", ["events.py", "live.py"])
def test_examples_run(node: fastn.Fastn, name: str) -> None:
    """Property: each example that needs nothing but a server runs against one."""
    told = subprocess.run([sys.executable, HERE / "examples" / name], capture_output=True, text=True, timeout=90)
    assert told.returncode == 0 and told.stdout, told.stderr
