// The public page's curl commands, with host, key and id changed, and schemathesis, against the REST API of a real
// process.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createReport } from "./support/report.ts";
import { createCurl } from "./support/rpc-clients.ts";
import { runProgram } from "./support/run-program.ts";
import { startServerProcess } from "./support/server-process.ts";
import { installPython } from "./support/tools.ts";

const version = "4.32.5";
const maxExamples = 40;

const pageHost = "https://api.casapay.com";
const pageKey = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";
const pageId = "tok_abc123";

/** As the page has them. */
const createCommand = `curl https://api.casapay.com/v1/tokens \\
-H "Authorization: Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc" \\
-H "Content-Type: application/json" \\
-d '{
"name": "Webhook Server Key",
"type": "restricted",
"permissions": ["payment_intents:read", "events:read", "webhook_endpoints:write"]
}'`;
const revokeCommand = `curl -X POST https://api.casapay.com/v1/tokens/tok_abc123/revoke \\
-H "Authorization: Bearer sk_test_4eC39HqLyjWDarjtT1zdp7dc"`;

const pageToken = {
  id: "tok_abc123",
  object: "token",
  name: "Production API Key",
  type: "secret",
  key_prefix: "sk_live_",
  permissions: [],
  last_used_at: 1706140800,
  expires_at: null,
  livemode: true,
  created: 1704067200,
};
const pageCreated = {
  id: "tok_restricted_xyz",
  object: "token",
  name: "Webhook Server Key",
  type: "restricted",
  key: "rk_test_abc123...",
  permissions: ["payment_intents:read", "events:read", "webhook_endpoints:write"],
  created: 1706140800,
};

type Json = Readonly<Record<string, unknown>>;

const report = createReport("rest");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-rest-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
await using server = await startServerProcess({
  dataDirectory: join(scratch.path, "data"),
  sealingSecret,
  settings: { REST_LISTEN: "127.0.0.1:0", MAX_TOKENS_PER_ACCOUNT: "1000000" },
});
const host = `http://${server.restAddress}`;
const { key, publishable } = await issueKeys();

await report.step("curl, as the page has it: create", async () => {
  const created = await curl(createCommand);
  assert.deepEqual(shapeOf(created, pageCreated), shapeOf(pageCreated, pageCreated));
  const { name, type, permissions, object } = pageCreated;
  assert.partialDeepStrictEqual(created, { name, type, permissions, object });
  assert.match(String(created.key), /^rk_test_[0-9A-Za-z]{38}$/);
});
await report.step("curl, as the page has it: revoke, and the token object", async () => {
  const { id, key: made } = await curl(createCommand);
  const revoked = await curl(revokeCommand.replace(pageId, String(id)));
  assert.partialDeepStrictEqual(revoked, { id, status: "revoked" });
  assert.deepEqual(Object.keys(revoked).slice(0, 10), Object.keys(pageToken));
  const secret = await curl(`curl ${pageHost}/v1/tokens?type=secret -u ${pageKey}:`);
  assert.ok(Array.isArray(secret.data));
  assert.deepEqual(shapeOf(secret.data[0], pageToken), shapeOf(pageToken, pageToken));
  const refused = await curl(revokeCommand.replace(pageKey, String(made)));
  assert.partialDeepStrictEqual(refused, { error: { code: "token_revoked" } });
});
await report.step("curl: a key asks for its own token, is told what it lacks, and ends itself", async () => {
  const { id, key: made } = await curl(createCommand);
  const own = (path: string, more = "") => curl(`curl ${pageHost}/v1/tokens/self${path} -u ${made}: ${more}`);
  assert.deepEqual(await own(""), await curl(`curl ${pageHost}/v1/tokens/${id} -u ${pageKey}:`));
  const refused = await curl(`curl ${pageHost}/v1/tokens -u ${made}:`);
  assert.partialDeepStrictEqual(refused, { error: { required_permissions: ["tokens:read"] } });
  assert.partialDeepStrictEqual(await own("/revoke", "-d 'reason=found in a public repository'"), {
    status: "revoked",
  });
  assert.partialDeepStrictEqual(await own(""), { error: { code: "token_revoked" } });
});
await report.step("curl -u KEY: in forms, over HTTP/2", async () => {
  const form = `-d name=Till -d 'permissions[]=events:read' -d 'permissions[]=charges:write'`;
  const { id } = await curl(`curl --http2-prior-knowledge ${pageHost}/v1/tokens -u ${pageKey}: ${form}`);
  const token = await curl(`curl ${pageHost}/v1/tokens/${id} -u ${pageKey}:`);
  assert.partialDeepStrictEqual(token, { name: "Till", permissions: ["events:read", "charges:write"] });
  const document = await curl(`curl ${pageHost}/v1/openapi.json`);
  assert.equal(document.openapi, "3.1.0");
});
const schemathesis = await report.step(`install schemathesis ${version}`, async () => {
  const interpreter = await installPython(`schemathesis-${version}`, [`schemathesis==${version}`]);
  return join(dirname(interpreter), "schemathesis");
});
if (schemathesis !== null) {
  await report.step("schemathesis: no 5xx, and no answer that is not documented", () =>
    explore(schemathesis, {
      ...{ bearer: key, maxSeconds: 120, minCases: 400 },
      which: ["--exclude-operation-id", "revokeSelf"],
    }),
  );
  // A key that may end itself would be at its end with the first request.
  await report.step("schemathesis: the same of a key that would end itself, with one that may not", () =>
    explore(schemathesis, {
      ...{ bearer: publishable, maxSeconds: 20, minCases: 40 },
      which: ["--include-operation-id", "revokeSelf"],
    }),
  );
}
await report.step("the server ends in good order, and has logged no error and no key", async () => {
  assert.equal(await server.stop(), 0);
  assert.deepEqual(server.errorLines(), []);
  assert.equal(server.linesWithKeys(), 0);
});
report.close();

/**
 * A secret key and a publishable one, with so many tokens made after them that none who lists them and revokes what it
 * finds comes upon them soon.
 */
async function issueKeys(): Promise<{ readonly key: string; readonly publishable: string }> {
  const inside = createCurl("1.1", { host: "127.0.0.1", port: server.port, tls: null });
  const issue = async (type = "TOKEN_TYPE_SECRET"): Promise<string> => {
    const answer = await inside.call("Create", { account: "acct_1", name: "for the suite", type });
    assert.ok("ok" in answer && typeof answer.ok.key === "string");
    return answer.ok.key;
  };
  const first = { key: await issue(), publishable: await issue("TOKEN_TYPE_PUBLISHABLE") };
  for (let count = 0; count < 100; count += 1) {
    await issue();
  }
  return first;
}

/** Runs a command of the page's with our host and key, in a shell as a reader would. */
async function curl(command: string): Promise<Json> {
  const ours = command
    .replaceAll(pageHost, host)
    .replaceAll(pageKey, key)
    .replace(/^curl /, "curl --silent --globoff ");
  const { exitCode, stdout, stderr } = await runProgram("sh", ["-c", ours], { timeoutMs: 60_000 });
  assert.equal(exitCode, 0, stderr);
  return JSON.parse(stdout);
}

/** The kind of each attribute that the page shows. */
function shapeOf(answer: Json, page: Json): object {
  return Object.fromEntries(
    Object.keys(page).map((name) => {
      const value = answer[name];
      const isTime = name.endsWith("_at");
      return [name, isTime && value === null ? "number" : Array.isArray(value) ? "array" : typeof value];
    }),
  );
}

type Exploration = {
  readonly bearer: string;
  /** Options that choose operations. */
  readonly which: readonly string[];
  readonly maxSeconds: number;
  readonly minCases: number;
};

async function explore(program: string, { bearer, which, maxSeconds, minCases }: Exploration): Promise<void> {
  const { exitCode, stdout } = await runProgram(
    program,
    [
      ...["run", `${host}/v1/openapi.json`, "--header", `Authorization: Bearer ${bearer}`, ...which],
      // That expires_at lies in the future, and that a cursor is there, no schema can say: what is valid by the schema
      // may be refused.
      ...["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--continue-on-failure"],
      ...["--max-examples", String(maxExamples), "--max-time", String(maxSeconds), "--no-color"],
    ],
    { timeoutMs: (maxSeconds + 120) * 1000, cwd: scratch.path },
  );
  const output = stdout.replaceAll(bearer, "KEY");
  assert.equal(exitCode, 0, output);
  const [summary = "", cases] = /(\d+) generated, \d+ passed.*/.exec(stdout) ?? [];
  assert.ok(Number(cases) >= minCases, output);
  console.log(`${summary}, ${/Seed: \d+/.exec(stdout)?.[0]}`);
}
