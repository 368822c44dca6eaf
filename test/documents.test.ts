// What the documents say of the tree is true of it.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mayCall, permittedFor } from "../src/calls/policy.ts";
import { rpcName } from "../src/calls/rpcs.ts";
import { logMessages } from "./support/log-messages.ts";

const root = resolve(import.meta.dirname, "..");
const tracked = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { cwd: root });
const files = String(tracked)
  .split("\0")
  .filter((path) => path !== "" && existsSync(join(root, path)));
const documents = files.filter((path) => path.endsWith(".md") && !path.startsWith("third_party/"));

const sources = files.filter((path) => /^src\/.*\.ts$/.test(path));

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** Without the blocks of commands and configuration. */
function proseOf(path: string): string {
  return read(path).replaceAll(/^ *```[\s\S]*?^ *```$/gm, "");
}

describe.each(documents)("%s", (document) => {
  const folder = dirname(join(root, document));

  it("links to what is there", () => {
    const targets = [...proseOf(document).matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = ""]) => target);
    const broken = targets.filter((target) => {
      const [path = "", anchor] = target.split("#");
      const file = path === "" ? join(root, document) : resolve(folder, path);
      return !/^https?:/.test(target) && !(existsSync(file) && (anchor === undefined || hasHeading(file, anchor)));
    });
    expect(broken).toEqual([]);
  });

  it("names no file and no folder that is not there", () => {
    const named = [...proseOf(document).matchAll(/`([^`\s]+)`/g)].map(([, name = ""]) => name).filter(isPath);
    const bases = [folder, join(root, "src"), root];
    // The README of a folder of src names what is below by its last part.
    const below = document.startsWith("src/") ? files.filter((path) => path.startsWith(`${dirname(document)}/`)) : [];
    const isThere = (path: string) =>
      bases.some((base) => existsSync(join(base, path))) || below.some((file) => file.endsWith(`/${path}`));
    expect(named.filter((path) => !isThere(path))).toEqual([]);
  });

  it("names no npm script that is not there", () => {
    const { scripts } = JSON.parse(read("package.json"));
    const named = [...read(document).matchAll(/\bnpm run ([a-z][a-z0-9-]*(?::[a-z0-9-]+)*)/g)].map(
      ([, name = ""]) => name,
    );
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

function hasHeading(file: string, anchor: string): boolean {
  const headings = [...readFileSync(file, "utf8").matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return headings.some((heading) => anchorOf(heading) === anchor);
}

/** As GitHub makes it. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

/** Whether a word in backticks is meant as a path of this repository: not one of a URL, nor the tag of a release. */
function isPath(word: string): boolean {
  const [first = ""] = word.split("/");
  const isFile = /^[\w.-]+(?:\/[\w.-]+)*\.(?:ts|js|md|proto|sh)$/.test(word);
  const isUnderFolder = /^[\w./-]+$/.test(word) && files.some((path) => path.startsWith(`${first}/`));
  return isFile || (word.includes("/") && isUnderFolder && !/\/v\d/.test(word));
}

const columns = 120;

it.each(documents.filter((path) => path !== "docs/api.md"))("%s ends its lines of prose at 120 columns", (document) => {
  // A row of a table and a picture cannot be broken.
  const lines = proseOf(document)
    .split("\n")
    .filter((line) => !/^(?:\||!\[|<img )/.test(line));
  expect(lines.filter((line) => line.length > columns)).toEqual([]);
});

it("comments end at 120 columns, where the formatter ends code", () => {
  const isOurs = (path: string) => !/(?:^|\/)(?:gen|_proto|third_party)\//.test(path);
  const commented = files.filter((path) => /\.(?:ts|js|mjs|go|rs|py|proto)$/.test(path) && isOurs(path));
  const long = commented.flatMap((path) =>
    read(path)
      .split("\n")
      .flatMap((line, at) =>
        line.length > columns &&
        /^\s*(?:\/\/|\/?\*|#)/.test(line) &&
        !/@(?:type|param|property|return)|biome-ignore/.test(line)
          ? [`${path}:${at + 1}`]
          : [],
      ),
  );
  expect(long).toEqual([]);
});

it("README is a door: at most 120 lines", () => {
  expect(read("README.md").trimEnd().split("\n").length).toBeLessThanOrEqual(120);
});

it.each(["gateway", "service", "dashboard"] as const)("docs/callers.md says which RPCs a %s may call", (role) => {
  const [, row = ""] = new RegExp(`^\\| \`${role}\` \\| (.+) \\|$`, "m").exec(read("docs/callers.md")) ?? [];
  const rpcs = TokenService.methods.filter((method) => mayCall(permittedFor(rpcName(method)), role));
  expect([...(row.match(/\b[A-Z]\w+/g) ?? [])].sort()).toEqual(rpcs.map(({ name }) => name).sort());
});

it.each(TokenService.methods.map((method) => [method.name, method] as const))(
  "the contract says whose %s is",
  (name, method) => {
    const contract = read("proto/casapay/token/v1/token_service.proto");
    const [comment = ""] = new RegExp(`(?:^ *//.*\\n)+ *rpc ${name}\\(`, "m").exec(contract) ?? [];
    const [, roles = ""] = /\/\/ Roles: ([^.]+)\./.exec(comment) ?? [];
    expect(roles.match(/\b(?:gateway|service|dashboard|operator)\b/g)).toEqual(permittedFor(rpcName(method)));
  },
);

it("CHANGELOG.md has the version that package.json has", () => {
  const [newest] = [...read("CHANGELOG.md").matchAll(/^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$/gm)].map(
    ([, version]) => version,
  );
  expect(newest).toBe(JSON.parse(read("package.json")).version);
});

it("CONTRIBUTING.md has every npm script that is not one of npm's own", () => {
  const { scripts } = JSON.parse(read("package.json"));
  const named: readonly string[] =
    read("CONTRIBUTING.md").match(/\bnpm (?:run )?[a-z][a-z0-9-]*(?::[a-z0-9-]+)*/g) ?? [];
  const missing = Object.keys(scripts).filter(
    (name) => !named.includes(`npm run ${name}`) && !named.includes(`npm ${name}`),
  );
  expect(missing).toEqual(["start"]);
});

it('"Hot path." marks the stops that ARCHITECTURE.md lists, and no other', () => {
  const listed = [...read("ARCHITECTURE.md").matchAll(/^\| .+ \| `(#?\w+)` \| `([\w/.-]+)` \|$/gm)];
  const stops = listed.map(([, name, file]) => `${name} in ${file}`);
  const comment = /\/\*\*(?:(?!\*\/)[\s\S])*?\*\/\n\s*(?:export |async |function )*(#?\w+)/g;
  const marked = sources.flatMap((path) =>
    [...read(path).matchAll(comment)]
      .filter(([text]) => /Hot path\b/.test(text))
      .map(([, name]) => `${name} in ${path.slice("src/".length)}`),
  );
  expect(stops.length).toBeGreaterThan(10);
  expect(marked.toSorted()).toEqual(stops.toSorted());
});

it("docs/observability.md has every log message with its level, and no other", () => {
  const said = logMessages(sources.map((path) => join(root, path))).map(({ level, message }) => `${level}: ${message}`);
  const tables = read("docs/observability.md").matchAll(/^\| `msg` \| level \|.*\n\|-.*\n((?:\|.*\n)+)/gm);
  const rows = [...tables].flatMap(([, text = ""]) => [...text.matchAll(/^\| (.+?) \| (\w+) \| /gm)]);
  const listed = rows.flatMap(([, cell = "", level]) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, message]) => `${level}: ${message}`),
  );
  expect(said.length).toBeGreaterThan(30);
  expect({
    missing: said.filter((line) => !listed.includes(line)),
    gone: listed.filter((line) => !said.includes(line)),
  }).toEqual({ missing: [], gone: [] });
});

it("docs/observability.md has every metric, and no other", () => {
  const name = /\b(?:token_authority|rpc_server)_[a-z]\w*/g;
  const made = sources.flatMap((path) => read(path).match(name) ?? []);
  const [, metrics = ""] = /## Metrics([\s\S]*?)\n## /.exec(read("docs/observability.md")) ?? [];
  const listed = [...metrics.matchAll(/^\| (`.+?) \| /gm)].flatMap(([, cell = ""]) => cell.match(name) ?? []);
  expect(listed.toSorted()).toEqual([...new Set(made)].toSorted());
});
