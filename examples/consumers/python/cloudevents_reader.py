"""Prints the CloudEvents of the topic events, read with the CloudEvents SDK, one JSON line each. See ../README.md."""

import argparse
import json

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary
from cloudevents.core.formats.json import JSONFormat
from confluent_kafka import Consumer

from consume import read
from records import Schemas


class AvroData(JSONFormat):
    """The SDK's format for events whose data is a record of fastn."""

    def __init__(self, schemas):
        self.schemas = schemas

    def read_data(self, body, content_type):
        if content_type == "application/avro":
            return self.schemas.decode(body)[1]
        return super().read_data(body, content_type)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--brokers", default="localhost:9092")
    options.add_argument("--prefix", default="")
    options.add_argument("--registry")
    options.add_argument("--schemas")
    options.add_argument("--until-end", action="store_true")
    options = options.parse_args()
    consumer = Consumer({
        "bootstrap.servers": options.brokers, "group.id": "fastn-example", "enable.auto.commit": False,
    })
    avro = AvroData(Schemas(options.registry, options.schemas))
    for message in read(consumer, [f"{options.prefix}events"], options.until_end):
        event = from_binary(KafkaMessage(dict(message.headers() or []), message.key(), message.value()), avro)
        print(json.dumps({
            "id": event.get_id(), "source": event.get_source(), "type": event.get_type(),
            "subject": event.get_subject(), "time": event.get_time().isoformat(),
            "customer": event.get_extension("partitionkey"), "dataschema": event.get_dataschema(),
            # The record of fastn holds what the sender sent as text.
            "data": json.loads(event.get_data()["data"]),
        }), flush=True)


if __name__ == "__main__":
    main()
