// Lays the packages out in dist/ and packs those of which everything is there: @fastn/sdk, which needs no compiler, and one for
// each platform with its native part alone, of which npm installs the one that fits.
//
// A native part that was built elsewhere is packed too when it lies beside package.json, as fastn.<platform>.node.
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = join(here, "dist");
const { PLATFORMS } = createRequire(import.meta.url)("./lib/platform.cjs");
const manifest = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const version = /\[workspace\.package\]\s+version = "(.*?)"/.exec(readFileSync(join(here, "../Cargo.toml"), "utf8"))[1];
if (manifest.version !== version) throw new Error(`package.json says ${manifest.version}, Cargo.toml ${version}: they move together`);

function write(folder, name, value) {
  writeFileSync(join(folder, name), typeof value === "string" ? value : `${JSON.stringify(value, null, 2)}\n`);
}

function pack(folder) {
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", dist], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
}

rmSync(dist, { recursive: true, force: true });
const { license, repository, engines } = manifest;
const natives = {};
for (const [platform, fits] of Object.entries(PLATFORMS)) {
  const folder = join(dist, "npm", platform);
  const file = `fastn.${platform}.node`;
  const name = `${manifest.name}-${platform}`;
  mkdirSync(folder, { recursive: true });
  const description = `The native part of ${manifest.name} for ${platform}.`;
  write(folder, "package.json", { name, version, description, license, repository, engines, ...fits, main: file, files: [file] });
  write(folder, "README.md", `# ${name}\n\n${description} It is installed with ${manifest.name}.\n`);
  natives[name] = version;
  if (!existsSync(join(here, file))) continue;
  copyFileSync(join(here, file), join(folder, file));
  pack(folder);
}

const own = join(dist, "npm", "sdk");
mkdirSync(own, { recursive: true });
for (const name of ["lib", "README.md", "testing.cjs", "testing.mjs", "testing.d.cts", "testing.d.mts"]) {
  cpSync(join(here, name), join(own, name), { recursive: true });
}
copyFileSync(join(here, "../LICENSE"), join(own, "LICENSE"));
// What is built from the source needs none of them; what is installed needs one.
const { scripts: _, ...published } = manifest;
write(own, "package.json", { ...published, optionalDependencies: natives });
pack(own);
