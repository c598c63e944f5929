// Checks the description of the API: redocly's recommended rules and swagger-parser have nothing to
// say, and a client (client.ts) that uses the types which openapi-typescript makes of it compiles
// without a cast. node openapi.mjs DOCUMENT, beside its packages.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import SwaggerParser from "@apidevtools/swagger-parser";

const here = dirname(fileURLToPath(import.meta.url));
const document = process.argv[2];

function run(name, ...words) {
  const env = { ...process.env, REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const done = spawnSync(join(here, "node_modules/.bin", name), words, { encoding: "utf8", env });
  return { status: done.status, text: done.stdout, all: `${done.stdout}${done.stderr}` };
}

function fail(...words) {
  console.error(document, ...words);
  process.exit(1);
}

const linted = run("redocly", "lint", "--extends=recommended", "--format=json", document);
let report;
try {
  report = JSON.parse(linted.text);
} catch {
  fail("is not linted:", linted.all);
}
if (report.totals.errors || report.totals.warnings)
  fail(...report.problems.map(({ ruleId, message, location }) => `\n${location[0].pointer ?? ""} ${message} (${ruleId})`));

await SwaggerParser.validate(document).catch((fault) => fail(fault.message));

const typed = run("openapi-typescript", document, "-o", join(here, "api.d.ts"));
if (typed.status) fail("gives no types:", typed.all);
// Other headers than those that are described are the only thing of which nothing is known.
const vague = readFileSync(join(here, "api.d.ts"), "utf8").split("\n")
  .filter((line) => /\bunknown\b/.test(line) && !/^ *(\*|\/\*|\[name: string\])/.test(line) && !line.includes('"urn:'));
if (vague.length) fail("has types of which nothing is known:\n", vague.join("\n"));
const compiled = run("tsc", "--noEmit", "--strict", "--target", "es2022", "--lib", "es2022,dom", "--module", "esnext",
                     "--moduleResolution", "bundler", join(here, "client.ts"));
if (compiled.status) fail("has types that its client cannot use:\n", compiled.all);
