"""What editors and type checkers see."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import is_typeddict

import pytest

HERE = Path(__file__).resolve().parents[1]

RIGHT = '''
from datetime import datetime
from fastn import AsyncFastn, Fastn, Missed, Pager
from fastn.models import ExecutionView, StoredWorkflow

def threads(fastn: Fastn) -> None:
    pager: Pager[ExecutionView] = fastn.executions(status="failed")
    for execution in pager:
        at: datetime = execution.created_at
        name: str = execution.workflow
        print(at, name, execution.error.message if execution.error else None)
    workflow: StoredWorkflow = fastn.workflow("w")
    fastn.put_workflow(workflow, if_match=workflow.revision)
    fastn.customer("c").send({"type": "t", "time": datetime.now(), "data": [1]})
    fastn.put_trigger({"id": "t", "source": {"type": "event", "types": ["a"]}, "routes": [{"workflow": "w"}]})

async def loops(fastn: AsyncFastn) -> None:
    async for row in fastn.executions():
        print(row.id)
    async for update in fastn.follow():
        if not isinstance(update, Missed):
            print(update.status == "completed")
    print((await fastn.customer("c").run("w", {"n": 1})).execution_id)
'''

WRONG = [
    'fastn.send({"type": "t"})',
    'fastn.put_workflow({"name": "no id"})',
    'fastn.put_workflow({"id": "w", "nmae": "x"})',
    'fastn.executions(status="finished")',
    "fastn.workflow(7)",
    'fastn.workflow("w").nmae',
    'fastn.workflow("w").revision + "x"',
    'fastn.customer("c").send({"data": 1})',
]


def check(tool: str, *files: Path) -> subprocess.CompletedProcess[str]:
    if tool == "mypy":
        command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "/dev/null"]
    else:
        command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    return subprocess.run([*command, *map(str, files)], capture_output=True, text=True, cwd=HERE)


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_types_are_right(tool: str, tmp_path: Path) -> None:
    """Property: the package and its examples pass mypy --strict and pyright, and so does code that uses them rightly."""
    pytest.importorskip(tool)
    use = tmp_path / "use.py"
    use.write_text(RIGHT)
    checked = check(tool, *sorted((HERE / "examples").glob("*.py")), use)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    own = check(tool, HERE / "python/fastn")
    assert own.returncode == 0, own.stdout + own.stderr


@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_mistakes_are_found(tool: str, tmp_path: Path) -> None:
    """Property: wrong uses are found, each in its line."""
    pytest.importorskip(tool)
    use = tmp_path / "wrong.py"
    use.write_text("from fastn import Fastn\n\nfastn = Fastn()\n" + "\n".join(WRONG) + "\n")
    checked = check(tool, use)
    for line, code in enumerate(WRONG, 4):
        assert f"wrong.py:{line}:" in checked.stdout, f"{code} is not found\n{checked.stdout}"


def test_what_is_derived_has_not_drifted() -> None:
    """Property: operations, models, types and errors are those of the API's document."""
    checked = subprocess.run([sys.executable, HERE / "generate.py", "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr


def test_everything_public_is_documented() -> None:
    """Property: each public class, method and attribute has a docstring, which editors show."""
    import inspect

    import fastn

    bare = []
    for name in fastn.__all__:
        one = getattr(fastn, name)
        members = list(vars(one).values()) if inspect.ismodule(one) else [one]
        for member in members:
            # What is sent is documented beside its name, which only editors read.
            if inspect.isclass(member) and member.__module__.startswith("fastn") and not is_typeddict(member):
                if not (member.__doc__ or "").strip():
                    bare.append(member.__qualname__)
                for key, value in vars(member).items():
                    if not key.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                        if not (value.__doc__ or "").strip():
                            bare.append(f"{member.__qualname__}.{key}")
    assert not bare
