import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Cost, requireH2load, runH2load } from "./h2load.ts";
import { authenticateRpc, type Shape } from "./lane-load.ts";
import { paced } from "./paced.ts";

const headers = { "content-type": "application/grpc", te: "trailers" };

/** Authenticate of one key by h2load, for about a round. Throws a MissingError where h2load is not. */
export function createRepeatedAuthenticate(
  { setup, roundMs }: BenchContext,
  shape: Shape,
): (way: RunningWay) => Promise<Cost> {
  requireH2load();
  const body = join(setup.scratch, "authenticate-body");
  writeFileSync(body, requestFor(setup.hotKey), { mode: 0o600 });
  const { path } = authenticateRpc;
  return paced(roundMs, (way, calls) => runH2load(way, { shape, calls, path, headers, body }));
}

/** An AuthenticateRequest with the key alone, behind gRPC's prefix. */
function requestFor(key: string): Buffer {
  const message = Buffer.concat([Buffer.of(0x0a, key.length), Buffer.from(key)]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
