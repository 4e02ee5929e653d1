"use strict";
// The native part for this platform: one that was built here, or that of the platform's package.

const { existsSync } = require("node:fs");
const { join } = require("node:path");

const { platform } = require("./platform.cjs");

function load() {
  const name = platform();
  const local = join(__dirname, "..", `fastn.${name}.node`);
  if (existsSync(local)) return require(local);
  try {
    return require(`@fastn/sdk-${name}`);
  } catch (cause) {
    const how = `install @fastn/sdk-${name}, or run \`npm run build\` in sdk-node of the source`;
    throw new Error(`@fastn/sdk has no native part for ${name}: ${how}`, { cause });
  }
}

module.exports = load();
