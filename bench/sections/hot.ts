import { execFile, spawnSync } from "node:child_process";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { BenchContext } from "../bench-context.ts";
import { cpuTimeUs } from "../cpu-time.ts";
import { type Figure, printFigures, ratio } from "../figures.ts";
import { interleave } from "../interleave.ts";
import { loadCore, pinned } from "../pinned.ts";
import { randomAcceptedToken } from "../seeded-token.ts";
import type { ServerProcess } from "../server-process.ts";

type Shape = { readonly name: string; readonly connections: number; readonly streams: number; readonly calls: number };
type Run = { readonly perSecond: number; readonly cpuUs: number };

const shapes: readonly Shape[] = [
  { name: "8×8", connections: 8, streams: 8, calls: 200_000 },
  { name: "32×1", connections: 32, streams: 1, calls: 100_000 },
];
const path = "/casapay.token.v1.TokenService/Authenticate";
const maxRunMs = 120_000;

/** Authenticate of one key again and again, by h2load, beside node:http2 that answers as many fixed bytes. */
export async function measureHot({ authority, echo, population, rounds }: BenchContext): Promise<void> {
  if (spawnSync("h2load", ["--version"]).status !== 0) {
    console.log("\nAuthenticate of a hot key: not measured, for h2load (Debian nghttp2-client) is not here");
    return;
  }
  using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-hot-"));
  const body = join(scratch.path, "body");
  writeFileSync(body, requestFor(randomAcceptedToken(population).key), { mode: 0o600 });
  for (const shape of shapes) {
    const results = await interleave(rounds, {
      authority: () => load(authority, shape, body),
      echo: () => load(echo, shape, body),
    });
    printFigures(
      `Authenticate of a hot key, ${shape.name} (h2load, one header block: repeated headers are the best case)`,
      [
        ...figuresOf("authority", results.authority),
        ...figuresOf("node:http2 echo", results.echo),
        ratio("calls, of the echo's", rates(results.authority), rates(results.echo)),
        ratio("server CPU a call: the echo's, of the authority's", cpus(results.echo), cpus(results.authority)),
      ],
    );
  }
}

async function load(
  { address, pid }: ServerProcess,
  { connections, streams, calls }: Shape,
  body: string,
): Promise<Run> {
  const [command = "", ...args] = pinned(loadCore, "h2load", [
    ...["-t1", `-n${calls}`, `-c${connections}`, `-m${streams}`, "-d", body],
    ...["-H", "content-type: application/grpc", "-H", "te: trailers"],
    `http://${address}${path}`,
  ]);
  const before = cpuTimeUs(pid);
  const { stdout } = await promisify(execFile)(command, args, { timeout: maxRunMs });
  const cpuUs = (cpuTimeUs(pid) - before) / calls;
  const perSecond = Number(/finished in [^,]*, ([\d.]+) req\/s/.exec(stdout)?.[1]);
  if (!stdout.includes(`status codes: ${calls} 2xx`)) {
    throw new Error(`h2load did not get all answers:\n${stdout}`);
  }
  return { perSecond, cpuUs };
}

/** An AuthenticateRequest with the key alone, behind gRPC's prefix. */
function requestFor(key: string): Buffer {
  const message = Buffer.concat([Buffer.of(0x0a, key.length), Buffer.from(key)]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

function figuresOf(name: string, runs: readonly Run[]): readonly Figure[] {
  return [
    { name, unit: "calls/s", values: rates(runs) },
    { name: `${name}: server CPU a call`, unit: "us", values: cpus(runs) },
  ];
}

function rates(runs: readonly Run[]): readonly number[] {
  return runs.map(({ perSecond }) => perSecond);
}

function cpus(runs: readonly Run[]): readonly number[] {
  return runs.map(({ cpuUs }) => cpuUs);
}
