import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Cost, requireH2load, runH2load } from "./h2load.ts";
import type { Shape } from "./lane-load.ts";

const path = "/casapay.token.v1.TokenService/Authenticate";
const headers = { "content-type": "application/grpc", te: "trailers" };
/** What a server is given in its first round, when nobody knows yet how fast it is. */
const firstCalls = 2000;

/** Authenticate of one key by h2load, for about a round. Throws a MissingError where h2load is not. */
export function createRepeatedAuthenticate(
  { setup, roundMs }: BenchContext,
  shape: Shape,
): (way: RunningWay) => Promise<Cost> {
  requireH2load();
  const body = join(setup.scratch, "authenticate-body");
  writeFileSync(body, requestFor(setup.hotKey), { mode: 0o600 });
  const calls = new Map<RunningWay, number>();
  return async (way) => {
    const cost = await runH2load(way, { shape, calls: calls.get(way) ?? firstCalls, path, headers, body });
    calls.set(way, Math.ceil((cost.callsPerSecond * roundMs) / 1000));
    return cost;
  };
}

/** An AuthenticateRequest with the key alone, behind gRPC's prefix. */
function requestFor(key: string): Buffer {
  const message = Buffer.concat([Buffer.of(0x0a, key.length), Buffer.from(key)]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
