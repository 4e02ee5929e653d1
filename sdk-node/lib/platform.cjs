"use strict";
// Platforms, as their packages are named.

const { readFileSync } = require("node:fs");

/** Those for which packages are laid out, with what npm compares to choose. */
const PLATFORMS = {
  "linux-x64-gnu": { os: ["linux"], cpu: ["x64"], libc: ["glibc"] },
  "linux-x64-musl": { os: ["linux"], cpu: ["x64"], libc: ["musl"] },
  "linux-arm64-gnu": { os: ["linux"], cpu: ["arm64"], libc: ["glibc"] },
  "linux-arm64-musl": { os: ["linux"], cpu: ["arm64"], libc: ["musl"] },
  "darwin-x64": { os: ["darwin"], cpu: ["x64"] },
  "darwin-arm64": { os: ["darwin"], cpu: ["arm64"] },
  "win32-x64-msvc": { os: ["win32"], cpu: ["x64"] },
};

/** The name of this one, e.g. `linux-x64-gnu`. */
function platform() {
  const { platform: system, arch } = process;
  if (system === "linux") return `${system}-${arch}-${isMusl() ? "musl" : "gnu"}`;
  return `${system}-${arch}${system === "win32" ? "-msvc" : ""}`;
}

/** Whether the C library is musl: its `ldd` is a script that says so. */
function isMusl() {
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    return false;
  }
}

module.exports = { PLATFORMS, platform };
