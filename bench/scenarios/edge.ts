import { join } from "node:path";
import { Link } from "../../test/suites/freshness/link.ts";
import { installGoProgram } from "../../test/suites/support/tools.ts";
import { authority } from "../baselines/authority.ts";
import { edge } from "../baselines/edge.ts";
import { envoyAsking } from "../baselines/envoy.ts";
import { measureRequests, type RequestLatencies, untilAnswered } from "../loads/http-requests.ts";
import type { BenchContext } from "../runner/bench-context.ts";
import { type Figure, ratio } from "../runner/figures.ts";
import { interleave } from "../runner/interleave.ts";
import { MissingError } from "../runner/missing-error.ts";

const atOnce = 4;
const addedMs = 1;

/** A request through Envoy with an edge beside it, and through Envoy that asks an authority a millisecond away. */
export async function measureEdge(context: BenchContext): Promise<void> {
  const server = await context.start(authority(), "any");
  const link = await Link.start(await installToxiproxy(), server.address);
  const socket = join(context.setup.scratch, "edge.sock");
  try {
    await link.with(
      { type: "latency", stream: "downstream", attributes: { latency: addedMs, jitter: 0 } },
      async () => {
        await context.start(edge(socket, link.address()), "any");
        const beside = await context.start(envoyAsking("Envoy with an edge", socket), "any");
        const away = await context.start(envoyAsking("Envoy without", link.address()), "any");
        const headers = { authorization: `Bearer ${context.setup.hotKey}` };
        for (const { address } of [beside, away]) {
          await untilAnswered(address, headers);
        }
        const measure = (address: string) => measureRequests(address, headers, atOnce, context.roundMs);
        const results = await interleave(context.rounds, {
          away: () => measure(away.address),
          beside: () => measure(beside.address),
        });
        print(context, results.away, results.beside);
      },
    );
  } finally {
    await link.kill();
  }
}

function print(context: BenchContext, away: readonly RequestLatencies[], beside: readonly RequestLatencies[]): void {
  const p50s = (some: readonly RequestLatencies[]) => some.map(({ p50Ms }) => p50Ms);
  const p99s = (some: readonly RequestLatencies[]) => some.map(({ p99Ms }) => p99Ms);
  context.print(`A request through Envoy, ${atOnce} at once, a hot key`, [
    ...figuresOf(`the authority is ${addedMs} ms away`, away),
    ...figuresOf("an edge beside Envoy, on a unix socket", beside),
    ratio("p50 with an edge, of without", p50s(beside), p50s(away), { atMost: 0.5 }),
    ratio("p99 with an edge, of without", p99s(beside), p99s(away), { atMost: 0.7 }),
  ]);
}

function figuresOf(name: string, some: readonly RequestLatencies[]): readonly Figure[] {
  return [
    { name: `${name}: p50`, unit: "ms", values: some.map(({ p50Ms }) => p50Ms) },
    { name: `${name}: p99`, unit: "ms", values: some.map(({ p99Ms }) => p99Ms) },
    { name: `${name}: requests`, unit: "", values: some.map(({ requests }) => requests) },
  ];
}

async function installToxiproxy(): Promise<string> {
  try {
    return await installGoProgram("github.com/Shopify/toxiproxy/v2/cmd/server", "v2.12.0");
  } catch (error) {
    throw new MissingError("toxiproxy cannot be built", { cause: error });
  }
}
