// The values of fastn's topics: a zero byte, a schema id of four bytes, an Avro datum.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import avro from "avsc";

// Registries give positive 32-bit integers; ids above are local ones, listed in index.json beside the schemas.
const REGISTRY_ID_MAX = 0x7fffffff;
const COMMITTED = fileURLToPath(new URL("../../../core/log/schemas", import.meta.url));

// Epochs and offsets use the whole range of 64 bits; JavaScript's numbers do not.
const long = avro.types.LongType.__with({
  fromBuffer: (bytes) => bytes.readBigInt64LE(),
  toBuffer: (value) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(value);
    return bytes;
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value) => typeof value === "bigint",
  compare: (a, b) => (a < b ? -1 : a > b ? 1 : 0),
});

/** Schemas by id, each fetched once. */
export class Schemas {
  #files;
  #folder;
  #registry;
  #types = new Map();

  constructor({ registry, folder = COMMITTED }) {
    const index = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
    this.#files = new Map(index.map((entry) => [entry.id, entry.file]));
    this.#folder = folder;
    this.#registry = registry;
  }

  async #of(id) {
    if (!this.#types.has(id)) {
      const text = id > REGISTRY_ID_MAX ? readFileSync(join(this.#folder, this.#files.get(id)), "utf8") : await this.#fetch(id);
      const type = avro.Type.forSchema(JSON.parse(text), { registry: { long }, wrapUnions: false, noAnonymousTypes: false });
      this.#types.set(id, type);
    }
    return this.#types.get(id);
  }

  async #fetch(id) {
    if (!this.#registry) throw new Error(`schema ${id} is of a registry: name it with --registry`);
    const url = new URL(this.#registry);
    const secret = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    const headers = url.username ? { authorization: `Basic ${Buffer.from(secret).toString("base64")}` } : {};
    [url.username, url.password] = ["", ""];
    const answer = await fetch(`${url.href.replace(/\/$/, "")}/schemas/ids/${id}`, { headers });
    if (!answer.ok) throw new Error(`the registry does not tell schema ${id}: HTTP ${answer.status}`);
    return (await answer.json()).schema;
  }

  /** The record's name, e.g. `Finished`, and its fields. */
  async decode(value) {
    if (value.length < 5 || value[0] !== 0) throw new Error("not a record of fastn");
    const type = await this.#of(value.readUInt32BE(1));
    return [type.name.split(".").pop(), type.fromBuffer(value.subarray(5))];
  }
}

/** Tells the records of a writer that was replaced, and may not know it yet, from those that count. */
export class Believed {
  #highest = new Map();

  check(partition, epoch) {
    if (epoch < (this.#highest.get(partition) ?? 0n)) return false;
    this.#highest.set(partition, epoch);
    return true;
  }
}
