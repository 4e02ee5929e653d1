// Validates docs/asyncapi.yaml with the specification's own parser, and every Avro schema that it refers to.

import { AvroSchemaParser } from "@asyncapi/avro-schema-parser";
import { Parser, fromFile } from "@asyncapi/parser";

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { document, diagnostics } = await fromFile(parser, process.argv[2]).parse();
const errors = diagnostics.filter(({ severity }) => severity === 0);
for (const { message, path } of errors) console.error(`${path.join(".")}: ${message}`);
if (errors.length > 0 || !document) process.exit(1);
console.log(`AsyncAPI ${document.version()}: ${document.allMessages().length} messages are valid`);
