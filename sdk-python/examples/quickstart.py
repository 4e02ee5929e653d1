"""Publishes a workflow, runs it for a customer, and waits for its result."""

from fastn import Fastn

SOURCE = """
export default async function (ctx) {
    return { twice: ctx.input.n * 2 };
}
"""

with Fastn() as fastn:
    fastn.put_customer({"id": "cus_acme", "name": "Acme"})
    fastn.put_workflow({"id": "double", "name": "Double"})
    version = fastn.publish("double", {"source": SOURCE})
    fastn.deploy("double", "test", version.version)

    acme = fastn.customer("cus_acme")
    execution = acme.run_and_wait("double", {"n": 21})
    print(execution.status, execution.output, execution.finished_at)
