// Client stacks that nobody here wrote, each as busy as a gateway gets: a third of its calls cancelled, a third with
// deadlines of 1 to 5 ms, every tenth with a body of 60 kB, half of them compressed where the library can, over four
// connections, while the server is stopped for two seconds. Beside them two witnesses call one after the other, one on
// a connection of the busy and one apart: none of their calls may fail or be answered wrong. Where one does by the
// client's own fault, the row says so and shows it against grpc-go.
//
//   npm run suite:zoo -- [--seconds N] [--only NAME,…] [--compare] [--table]
//
// With --compare every client is run against Go's servers as well.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { create, toBinary } from "@bufbuild/protobuf";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import {
  AuthenticateRequestSchema,
  AuthenticateResponseSchema,
  TokenService,
} from "#gen/casapay/token/v1/token_service_pb.ts";
import { createReport } from "./support/report.ts";
import { tokenClientOf } from "./support/rpc-clients.ts";
import { startServerProcess } from "./support/server-process.ts";
import { buildZoo, type Programs } from "./zoo/build.ts";
import { startProxy } from "./zoo/proxies.ts";
import { type Row, rows } from "./zoo/rows.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "8" },
    only: { type: "string" },
    compare: { type: "boolean" },
    table: { type: "boolean" },
  },
});
const seconds = Number(values.seconds);
const chosen = rows.filter(({ name }) => values.only === undefined || values.only.split(",").includes(name));
assert.ok(
  seconds >= 4 && chosen.length > 0,
  `--seconds is 4 or more; --only takes ${rows.map(({ name }) => name).join(", ")}`,
);

const stoppedAfterMs = 1000;
const stoppedForMs = 2000;
const startMs = 60_000;
/** How often a client is run against Go until its row's fault is seen: HAProxy shows it every other time. */
const comparisons = 10;
const tableHead = [
  "| client | version | answered | cancelled | expired | failed | beside: calls, failed, longest | apart: calls, failed, longest | |",
  "|---|---|---|---|---|---|---|---|---|",
];
const path = `/${TokenService.typeName}/Authenticate`;

/** What a client counts. */
type Tally = {
  readonly calls: number;
  readonly wrong: number;
  readonly failed: number;
  readonly faults: readonly string[] | null;
};
type Outcome = {
  readonly version: string;
  readonly busy: Tally & { readonly cancelled: number; readonly expired: number };
  readonly same: Tally & { readonly longestMs: number };
  readonly other: Tally & { readonly longestMs: number };
};
/** Who is called: its process is stopped for a while. */
type Server = { readonly pid: number; readonly address: string };
type Example = { readonly request: string; readonly response: string };
type Examples = { readonly good: Example; readonly revoked: Example; readonly large: Example };

const report = createReport("zoo");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-zoo-"));
const sealingSecret = join(scratch.path, "sealing-secret");
writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });

const programs = await report.step("build the clients", () => buildZoo(scratch.path));
if (programs !== null) {
  await visit(programs);
}
report.close();

async function visit(built: Programs): Promise<void> {
  await using authority = await startServerProcess({ dataDirectory: join(scratch.path, "data"), sealingSecret });
  const examples = await makeExamples(authority.port);
  await using reference = await startReference(built, examples);
  const lines: string[] = [];
  for (const row of chosen) {
    await report.step(row.name, async () => {
      const ours = await call(built, row, examples, authority);
      const fault = faultOf(ours);
      const isTheirs = fault !== null && row.clientFault !== undefined;
      let theirs = values.compare === true ? await call(built, row, examples, reference[row.protocol]) : null;
      for (let tries = 0; isTheirs && tries < comparisons && failedOf(theirs) === 0; tries += 1) {
        theirs = await call(built, row, examples, reference[row.protocol]);
      }
      lines.push(tableLine(row, ours, theirs));
      console.log(`     ${summaryOf(ours)}`);
      if (theirs !== null) {
        console.log(`     against Go: ${summaryOf(theirs)}`);
      }
      assert.ok(authority.isRunning(), authority.output());
      assert.ok(
        ours.busy.cancelled > 10 && ours.busy.expired > 10 && ours.other.calls >= 4,
        "hardly anything was called",
      );
      if (fault !== null) {
        assert.ok(row.clientFault !== undefined, fault);
        assert.equal(wrongOf(ours) + ours.other.failed, 0, `no client's fault: ${fault}`);
        console.log(`     ${row.clientFault}`);
        assert.ok(failedOf(theirs) > 0, `the fault that the row tells of is not seen against Go: ${fault}`);
      }
    });
  }
  await report.step("the authority ends in good order, and has logged no error", async () => {
    assert.equal(await authority.stop(), 0, authority.output());
    assert.deepEqual(authority.errorLines(), []);
  });
  if (values.table === true) {
    console.log(["", ...tableHead, ...lines].join("\n"));
  }
}

/** What failed or was answered wrong, in words; null when nothing was. */
function faultOf({ busy, same, other }: Outcome): string | null {
  const faults = Object.entries({ busy, beside: same, apart: other }).filter(
    ([, { wrong, failed }]) => wrong + failed > 0,
  );
  return faults.length === 0 ? null : faults.map(([name, tally]) => `${name}: ${tally.faults?.join("; ")}`).join("\n");
}

function wrongOf({ busy, same, other }: Outcome): number {
  return busy.wrong + same.wrong + other.wrong;
}

function failedOf(outcome: Outcome | null): number {
  return outcome === null ? 0 : outcome.busy.failed + outcome.same.failed + outcome.other.failed;
}

function summaryOf({ version, busy, same, other }: Outcome): string {
  const witness = (tally: Outcome["same"]) =>
    `${tally.calls} calls, ${tally.failed} failed, longest ${tally.longestMs} ms`;
  return `${version}: ${busy.calls} answered, ${busy.cancelled} cancelled, ${busy.expired} expired, ${busy.failed} failed; beside them ${witness(same)}; apart ${witness(other)}`;
}

function tableLine(row: Row, ours: Outcome, theirs: Outcome | null): string {
  const witness = (tally: Outcome["same"]) => `${tally.calls}, ${tally.failed}, ${tally.longestMs} ms`;
  const { busy } = ours;
  const against = theirs === null ? "" : `Against Go: ${failedOf(theirs)} failed.`;
  const fault = [row.clientFault ?? "", against].join(" ").trim();
  const cells = [row.name, ours.version, busy.calls - busy.failed, busy.cancelled, busy.expired, busy.failed];
  return `| ${[...cells, witness(ours.same), witness(ours.other), fault].join(" | ")} |`;
}

/** Runs one client against one server, which is stopped for a while meanwhile. */
async function call(built: Programs, row: Row, examples: Examples, server: Server): Promise<Outcome> {
  await using proxy = row.proxy === null ? null : await startProxy(row.proxy, built, server.address, scratch.path);
  const order = join(scratch.path, "order.json");
  const address = proxy?.address ?? server.address;
  const wanted = { address, otherAddress: server.address, path, seconds, ...examples };
  writeFileSync(order, JSON.stringify(wanted), { mode: 0o600 });
  const [program, ...args] = row.command(built);
  const child = spawn(program, [...args, order], { stdio: ["ignore", "pipe", "pipe"] });
  const ended = once(child, "close");
  const timer = setTimeout(() => child.kill("SIGKILL"), startMs + seconds * 1000 + stoppedForMs);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = `${said}${text}`.slice(-4000);
  });
  const lines = createInterface({ input: child.stdout });
  let outcome: Outcome | null = null;
  let stopping: Promise<void> | null = null;
  lines.on("line", (line) => {
    if (line === "begun") {
      stopping = stopForAWhile(server);
    } else if (line.startsWith("{")) {
      outcome = JSON.parse(line);
    }
  });
  await ended;
  clearTimeout(timer);
  await stopping;
  return outcome ?? assert.fail(`the client ended without an outcome (${child.exitCode ?? child.signalCode}): ${said}`);
}

async function stopForAWhile({ pid }: Server): Promise<void> {
  await sleep(stoppedAfterMs);
  process.kill(pid, "SIGSTOP");
  await sleep(stoppedForMs);
  process.kill(pid, "SIGCONT");
}

/** What is asked, and the bytes that answer it: a good key, a revoked one, and a message of 60 kB. */
async function makeExamples(port: number): Promise<Examples> {
  using client = tokenClientOf({ host: "127.0.0.1", port, tls: null });
  const issue = () =>
    client.call(TokenService.method.create, {
      account: "acct_zoo",
      name: "zoo",
      type: TokenType.SECRET,
      livemode: true,
    });
  const ask = async (key: string): Promise<Example> => {
    const request = create(AuthenticateRequestSchema, { key });
    const response = await client.call(TokenService.method.authenticate, request);
    return {
      request: Buffer.from(toBinary(AuthenticateRequestSchema, request)).toString("base64"),
      response: Buffer.from(toBinary(AuthenticateResponseSchema, response)).toString("base64"),
    };
  };
  const [good, revoked] = [await issue(), await issue()];
  await client.call(TokenService.method.revoke, { id: revoked.token?.id ?? "" });
  return { good: await ask(good.key), revoked: await ask(revoked.key), large: await ask("k".repeat(60_000)) };
}

/** The same answers by grpc-go, and by connect-go on net/http: what clients do to others. */
async function startReference(built: Programs, examples: Examples) {
  const order = join(scratch.path, "reference.json");
  writeFileSync(order, JSON.stringify({ path, ...examples }), { mode: 0o600 });
  const child: ChildProcess = spawn(built.go, ["-serve", "-order", order], { stdio: ["ignore", "pipe", "inherit"] });
  assert.ok(child.stdout !== null && child.pid !== undefined);
  const { pid } = child;
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  const { grpc, http } = JSON.parse(line);
  return {
    grpc: { pid, address: grpc },
    http: { pid, address: http },
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await once(child, "close");
    },
  };
}
