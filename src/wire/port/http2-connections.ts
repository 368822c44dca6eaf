import { describeError } from "../../machine/describe-error.ts";
import type { Log } from "../../machine/log.ts";
import type { HttpHandler, RefuseLargeHeader, ShortResponse } from "../exchange.ts";
import type { Account } from "../http2/account.ts";
import { encodePreparedBlock } from "../http2/hpack-encoder.ts";
import { Http2Server, type ServedConnection } from "../http2/http2-server.ts";
import type { LaneAnswer } from "../http2/lane.ts";
import type { Lanes } from "../http2/lanes.ts";
import type { Limits } from "../http2/limits.ts";
import type { Connection, Connections } from "./connection.ts";
import { createHttp2Handler } from "./http2-handler.ts";
import type { Peer } from "./peer.ts";

/** What all HTTP/2 connections of a listener share. */
export type Http2Context = {
  readonly scheme: "http" | "https";
  readonly handler: HttpHandler;
  readonly lanes: Lanes<Peer>;
  readonly refuseLargeHeader: RefuseLargeHeader;
  /** Counts what they hold; null counts for this listener alone, and bounds nothing. */
  readonly account: Account | null;
  readonly limits: Partial<Limits>;
  readonly log: Log;
};

/** What is granted to strangers: headers, and a KiB that is thrown away. */
const strangersLimits = {
  maxConcurrentStreams: 10,
  streamWindowBytes: 1024,
  connectionWindowBytes: 65_535,
  maxHeldBytes: 131_072,
};

/** Speaks HTTP/2 (RFC 9113) on sockets that are handed to it. */
export function createHttp2Connections({
  refuseLargeHeader,
  account,
  limits,
  log,
  ...context
}: Http2Context): Connections {
  const options = {
    lanes: context.lanes,
    handle: createHttp2Handler(context.handler, { scheme: context.scheme, log }),
    refuseLargeHeader: (peer: Peer, contentType: string) => toLaneAnswer(refuseLargeHeader(peer, contentType)),
    onError: (error: unknown) => log.error(describeError(error), "an HTTP/2 stream failed"),
    ...(account === null ? {} : { account }),
  };
  const callers = new Http2Server<Peer>({ ...options, limits });
  const strangers = new Http2Server<Peer>({ ...options, limits: strangersLimits });
  return {
    serve: (socket, peer, isStranger) => toConnection((isStranger ? strangers : callers).accept(socket, peer)),
    async close() {
      await Promise.all([callers.close(0), strangers.close(0)]);
    },
  };
}

function toLaneAnswer({ status, header, body }: ShortResponse): LaneAnswer {
  const fields: [string, string][] = [[":status", String(status)], ...Object.entries(header)];
  if (body.byteLength === 0) {
    return { head: encodePreparedBlock(fields), body: null, trailer: null };
  }
  fields.push(["content-length", String(body.byteLength)]);
  return { head: encodePreparedBlock(fields), body, trailer: null };
}

function toConnection(served: ServedConnection): Connection {
  return {
    closeGracefully: () => served.leave(),
    get heldBytes() {
      return served.heldBytes;
    },
    get idleSinceMs() {
      return served.idleSinceMs;
    },
  };
}
