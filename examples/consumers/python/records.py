"""The values of fastn's topics: a zero byte, a schema id of four bytes, an Avro datum."""

import base64
import io
import json
import pathlib
import struct
import urllib.parse
import urllib.request

import fastavro

# Registries give positive 32-bit integers; ids above are local ones, listed in index.json beside the schemas.
REGISTRY_ID_MAX = 0x7FFFFFFF
COMMITTED = pathlib.Path(__file__).resolve().parents[3] / "core/log/schemas"


class Schemas:
    """Schemas by id, each fetched once."""

    def __init__(self, registry=None, folder=None):
        folder = pathlib.Path(folder or COMMITTED)
        index = json.loads((folder / "index.json").read_text())
        self.files = {entry["id"]: folder / entry["file"] for entry in index}
        self.registry = registry
        self.parsed = {}

    def of(self, schema_id):
        if schema_id not in self.parsed:
            local = schema_id > REGISTRY_ID_MAX
            text = self.files[schema_id].read_text() if local else self.fetch(schema_id)
            self.parsed[schema_id] = fastavro.parse_schema(json.loads(text))
        return self.parsed[schema_id]

    def fetch(self, schema_id):
        if not self.registry:
            raise LookupError(f"schema {schema_id} is of a registry: name it with --registry")
        url = urllib.parse.urlsplit(self.registry)
        request = urllib.request.Request(
            urllib.parse.urlunsplit((url.scheme, url.netloc.rpartition("@")[2], url.path.rstrip("/"), "", ""))
            + f"/schemas/ids/{schema_id}"
        )
        if url.username:
            secret = f"{urllib.parse.unquote(url.username)}:{urllib.parse.unquote(url.password or '')}"
            request.add_header("authorization", "Basic " + base64.b64encode(secret.encode()).decode())
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["schema"]

    def decode(self, value):
        """The record's name, e.g. `Finished`, and its fields."""
        if len(value) < 5 or value[0] != 0:
            raise ValueError("not a record of fastn")
        schema = self.of(struct.unpack(">I", value[1:5])[0])
        return schema["name"].rpartition(".")[2], fastavro.schemaless_reader(io.BytesIO(value[5:]), schema)


class Believed:
    """Tells the records of a writer that was replaced, and may not know it yet, from those that count."""

    def __init__(self):
        self.highest = {}

    def check(self, partition, epoch):
        if epoch < self.highest.get(partition, 0):
            return False
        self.highest[partition] = epoch
        return True
