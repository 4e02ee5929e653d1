"use strict";
// The native part for this platform: one that was built here, or that of the platform's package.

const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

/** The platform as packages are named after it, e.g. `linux-x64-gnu`. */
function platform() {
  const { platform: system, arch } = process;
  if (system !== "linux") return `${system}-${arch}${system === "win32" ? "-msvc" : ""}`;
  return `${system}-${arch}-${isMusl() ? "musl" : "gnu"}`;
}

/** Whether the C library is musl: its `ldd` is a script that says so. */
function isMusl() {
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    return false;
  }
}

function load() {
  const name = platform();
  const local = join(__dirname, "..", `fastn.${name}.node`);
  if (existsSync(local)) return require(local);
  try {
    return require(`@fastn/sdk-${name}`);
  } catch (cause) {
    const text = `@fastn/sdk has no native part for ${name}: install @fastn/sdk-${name}, or build it with \`npm run build\` in sdk-node`;
    throw new Error(text, { cause });
  }
}

module.exports = load();
