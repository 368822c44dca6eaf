import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchContext, RunningWay } from "../runner/bench-context.ts";
import { type Cost, requireH2load, runH2load } from "./h2load.ts";
import { authenticateRpc, type Shape } from "./lane-load.ts";
import { paced } from "./paced.ts";

const headers = { "content-type": "application/grpc", te: "trailers" };

/** Authenticate of one key by h2load, for about a round. Throws a MissingError where h2load is not. */
export function createRepeatedAuthenticate(context: BenchContext, shape: Shape): (way: RunningWay) => Promise<Cost> {
  const { hotKey } = context.setup;
  const message = Buffer.concat([Buffer.of(0x0a, hotKey.length), Buffer.from(hotKey)]);
  return createRepeatedCall(context, shape, { name: "authenticate", path: authenticateRpc.path, message });
}

/** One call again and again by h2load, for about a round. Throws a MissingError where h2load is not. */
export function createRepeatedCall(
  { setup, roundMs }: BenchContext,
  shape: Shape,
  { name, path, message }: { readonly name: string; readonly path: string; readonly message: Uint8Array },
): (way: RunningWay) => Promise<Cost> {
  requireH2load();
  const body = join(setup.scratch, `${name}-body`);
  writeFileSync(body, prefixed(message), { mode: 0o600 });
  return paced(roundMs, (way, calls) => runH2load(way, { shape, calls, path, headers, body }));
}

/** The message behind gRPC's prefix. */
function prefixed(message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
