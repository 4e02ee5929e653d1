"""Prints what fastn ran and what it called, one JSON line each. See ../README.md."""

import argparse
import json

from confluent_kafka import Consumer, TopicPartition

from records import Believed, Schemas


def customer(scope):
    return f"{scope['account']}/{scope['customer']}"


def lines_of(record, fields):
    """What a record of `executions` or `traces` tells, in the words of this program."""
    if record == "Admitted":
        for event in fields["events"]:
            for started in event["executions"]:
                yield {"customer": customer(event["scope"]), "execution": started["id"],
                       "workflow": started["workflow"], "status": "queued"}
    elif record in ("Progress", "Finished"):
        line = {"customer": customer(fields["scope"]), "execution": fields["execution"], "status": fields["status"]}
        if record == "Finished" and fields["error"]:
            line["error"] = fields["error"]["code"]
        yield line
    elif record == "Trace":
        yield {"customer": customer(fields["scope"]), "execution": fields["execution"], "step": fields["step"],
               "call": f"{fields['method']} {fields['origin']}", "status": fields["status"] or fields["error"],
               "ms": fields["duration_ms"]}
    # Claims, snapshots and checkpoints repeat what is known, for the processors themselves.


def read(consumer, topics, until_end):
    """Every message of the topics, in the order of each partition."""
    known = consumer.list_topics(timeout=10).topics
    partitions = [TopicPartition(topic, partition) for topic in topics for partition in known[topic].partitions]
    open_ends = {}
    for at in partitions:
        at.offset, end = consumer.get_watermark_offsets(at, timeout=10)
        if end > at.offset:
            open_ends[at.topic, at.partition] = end
    consumer.assign(partitions)
    while open_ends or not until_end:
        message = consumer.poll(1)
        if message is not None and message.error():
            raise SystemExit(f"kafka: {message.error()}")
        if message is not None:
            yield message
        # By position and not by record: the last offsets may hold none.
        done = [key for key, end in open_ends.items()
                if consumer.position([TopicPartition(*key)])[0].offset >= end]
        for key in done:
            del open_ends[key]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--brokers", default="localhost:9092")
    options.add_argument("--prefix", default="", help="the cell's prefix of topics, e.g. eu.")
    options.add_argument("--registry", help="base URL of the schema registry")
    options.add_argument("--schemas", help="folder of the schemas with local ids")
    options.add_argument("--until-end", action="store_true", help="stop where the topics end now")
    options = options.parse_args()
    consumer = Consumer({
        "bootstrap.servers": options.brokers,
        # Required by the client; partitions are assigned by hand and no offset is committed.
        "group.id": "fastn-example",
        "enable.auto.commit": False,
    })
    schemas, believed = Schemas(options.registry, options.schemas), Believed()
    executions, traces = f"{options.prefix}executions", f"{options.prefix}traces"
    for message in read(consumer, [executions, traces], options.until_end):
        record, fields = schemas.decode(message.value())
        if message.topic() == executions and not believed.check(message.partition(), fields["epoch"]):
            continue
        topic = message.topic().removeprefix(options.prefix)
        place = {"topic": topic, "partition": message.partition(), "offset": message.offset(), "record": record}
        for line in lines_of(record, fields):
            print(json.dumps(place | line), flush=True)


if __name__ == "__main__":
    main()
