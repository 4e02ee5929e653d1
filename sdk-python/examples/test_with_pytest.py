"""Tests of one's own against a platform of their own, whose clock they move. `pytest examples/test_with_pytest.py`; the program
`fastn` is the one that `FASTN_BIN` names, else the one on the `PATH`."""

from __future__ import annotations

from fastn.testing import TestServer

pytest_plugins = ["fastn.testing"]

SOURCE = """
export default async function (ctx) {
    await ctx.sleep("24h");
    return { reminded: ctx.input.to };
}
"""


def test_a_reminder_comes_after_a_day(fastn_server: TestServer) -> None:
    fastn = fastn_server.client()
    fastn.put_workflow({"id": "reminder", "tier": "long"})
    version = fastn.publish("reminder", {"source": SOURCE})
    fastn.deploy("reminder", "test", version.version)

    customer = fastn.customer(fastn_server.customer)
    run = customer.run("reminder", {"to": "ada@example.com"})
    fastn_server.advance("25h")
    assert customer.wait(run.execution_id).output == {"reminded": "ada@example.com"}
