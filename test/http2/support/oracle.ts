import { createServer, type Http2Server as NodeHttp2Server, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import {
  clientPreface,
  Flag,
  FrameType,
  initialWindowBytes,
  maxWindowBytes,
  Setting,
} from "../../../src/wire/http2/frame.ts";
import { compose, mutate, Random, wasReset } from "./fuzz-inputs.ts";
import { frame, RawClient, settings, word } from "./raw-client.ts";
import { lanePath, laterPath, startTestServer } from "./test-server.ts";

const mark = Buffer.from("is it so");
const answered = " end";
const reset = " reset";
/** Whatever waits for windows can leave. */
const roomForAll = Buffer.concat([
  settings([Setting.InitialWindowSize, 1_000_000]),
  frame(FrameType.WindowUpdate, 0, 0, word(1_000_000)),
]);

/**
 * Where we end a connection and node:http2 (nghttp2) goes on, by what our GOAWAY says, with the rule that we keep, of
 * RFC 9113 where no other is named. nghttp2 ignores such frames.
 */
const weAreStricter: readonly (readonly [RegExp, string])[] = [
  [
    /^HEADERS of a request on a closed stream$/,
    "5.1.1: an id that was used begins no request, which is a connection error",
  ],
  [/^\w+ on (a stream that did not begin|an idle stream)$/, "5.1.1: a stream that was passed over never was open"],
  [
    /^stream depends on itself$/,
    "RFC 7540 5.3.1, on a stream that has not begun: 5.4.1 lets any stream error end the connection",
  ],
  [
    /^padding is longer than its frame$/,
    "6.1: a connection error; nghttp2 does not look at DATA on a stream that was reset",
  ],
  [/^PRIORITY on stream 0$/, "6.3: the recipient MUST respond with a connection error of type PROTOCOL_ERROR"],
];

/**
 * Settings of other RFCs whose values nghttp2 checks, and ends the connection: SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC
 * 8441 section 3) and SETTINGS_NO_RFC7540_PRIORITIES (RFC 9218 section 2.1). We do not know them, and so ignore them
 * (RFC 9113 section 6.5.2).
 */
const settingsOfOthers: ReadonlySet<number> = new Set([8, 9]);

/** What a server made of a conversation. */
type Outcome = {
  /** Ended because of an error. */
  readonly isOver: boolean;
  readonly goAwayMessage: string;
  /** Status, body, trailers and the way it ended, by stream, as far as it came. */
  readonly streams: ReadonlyMap<number, string>;
};

/** node:http2 and our server, with the same echo. */
export type Oracle = AsyncDisposable & {
  /**
   * Says the same to both. Throws where they disagree though RFC 9113 leaves them no choice:
   * - a conversation without an error: `owed` streams have the same status, body and trailers;
   * - a response that both sent to its end is the same, whatever came after it;
   * - where one ends the connection, the other ends it too, or we reset a stream where the RFC has it a stream error
   *   (section 5.4.2: nghttp2 makes a connection error of some), or it is one of the named differences.
   */
  compare(conversation: Buffer, owed: Iterable<number>): Promise<void>;
};

export async function startOracle(): Promise<Oracle> {
  const ours = await startTestServer();
  const theirs = await startNodeEcho();
  const theirPort = (theirs.address() as AddressInfo).port;
  return {
    async compare(conversation, owed) {
      const frames = framesOf(conversation);
      const bytes = Buffer.concat([conversation.subarray(0, clientPreface.length), ...frames, roomForAll]);
      const awaited = [...owed];
      const [our, their] = await Promise.all([
        converse(ours.port, bytes, awaited),
        converse(theirPort, bytes, awaited),
      ]);
      const fault = faultOf(our, their, awaited, frames);
      if (fault !== null) {
        throw new Error(`${fault}, after ${bytes.toString("hex")}`);
      }
    },
    async [Symbol.asyncDispose]() {
      await ours.close(0);
      theirs.close();
    },
  };
}

function faultOf(our: Outcome, their: Outcome, owed: readonly number[], frames: readonly Buffer[]): string | null {
  for (const [id, ourStream] of our.streams) {
    const theirStream = their.streams.get(id) ?? "";
    if (ourStream.endsWith(answered) && theirStream.endsWith(answered) && ourStream !== theirStream) {
      return `stream ${id}: we answer ${ourStream}, they ${theirStream}`;
    }
  }
  if (our.isOver && !their.isOver) {
    const isNamed = weAreStricter.some(([message]) => message.test(our.goAwayMessage));
    return isNamed || hasReset(their) ? null : `we alone end the connection: ${our.goAwayMessage}`;
  }
  if (their.isOver && !our.isOver) {
    const isNamed = frames.some((bytes) => hasSettingOfOthers(bytes) || isWrongUpdateOfClosed(bytes, our));
    return hasReset(our) || isNamed ? null : "they alone end the connection";
  }
  const differing = our.isOver ? undefined : owed.find((id) => our.streams.get(id) !== their.streams.get(id));
  return differing === undefined
    ? null
    : `stream ${differing}: we say ${our.streams.get(differing)}, they ${their.streams.get(differing)}`;
}

function hasReset({ streams }: Outcome): boolean {
  return [...streams.values()].some((stream) => stream.endsWith(reset));
}

/**
 * The whole frames behind the preface, without GOAWAY: how soon to leave after it is for each to choose (section 6.8).
 */
function framesOf(conversation: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = clientPreface.length; at + 9 <= conversation.length; ) {
    const end = at + 9 + conversation.readUIntBE(at, 3);
    if (end > conversation.length) {
      break;
    }
    if (conversation[at + 3] !== FrameType.GoAway) {
      frames.push(conversation.subarray(at, end));
    }
    at = end;
  }
  return frames;
}

/**
 * Whether this is a WINDOW_UPDATE of 0 or too much (section 6.9), on a stream that we have answered to its end: then it
 * is ignored (section 5.1, closed). node:http2 answers later, and for it the stream is still open.
 */
function isWrongUpdateOfClosed(bytes: Buffer, { streams }: Outcome): boolean {
  if (bytes[3] !== FrameType.WindowUpdate || bytes.length !== 13) {
    return false;
  }
  const increment = bytes.readUInt32BE(9) & 0x7fffffff;
  const isWrong = increment === 0 || increment > maxWindowBytes - initialWindowBytes;
  return isWrong && streams.get(bytes.readUInt32BE(5))?.endsWith(answered) === true;
}

function hasSettingOfOthers(bytes: Buffer): boolean {
  if (bytes[3] !== FrameType.Settings) {
    return false;
  }
  for (let at = 9; at + 6 <= bytes.length; at += 6) {
    if (settingsOfOthers.has(bytes.readUInt16BE(at))) {
      return true;
    }
  }
  return false;
}

/** Gives one input, told by its seed, to the oracle: a composed conversation, or a changed recording. */
export async function compareOnce(oracle: Oracle, seed: number, recordings: readonly Buffer[]): Promise<void> {
  const random = new Random(seed);
  const { bytes, wellFormed } = compose(random);
  try {
    if (random.chance(50)) {
      await oracle.compare(
        bytes,
        [...wellFormed].filter((id) => !wasReset(bytes, id)),
      );
    } else {
      await oracle.compare(mutate(random, random.pick(recordings)), []);
    }
  } catch (error) {
    throw new Error(`oracle seed ${seed}: ${String(error)}`, { cause: error });
  }
}

async function converse(port: number, bytes: Buffer, awaited: readonly number[]): Promise<Outcome> {
  const client = await RawClient.connect(port, null);
  client.send(bytes, frame(FrameType.Ping, 0, 0, mark));
  const isDone = (): boolean =>
    client.isClosed ||
    client.frames.some(({ type, payload }) => type === FrameType.GoAway && payload.readUInt32BE(4) !== 0) ||
    (client.frames.some(({ type, payload }) => type === FrameType.Ping && payload.equals(mark)) &&
      awaited.every((id) => client.frames.some((heard) => heard.streamId === id && ends(heard))));
  await client.until(isDone);
  const outcome = outcomeOf(client);
  client.close();
  return outcome;
}

function ends({ type, flags }: { type: number; flags: number }): boolean {
  return type === FrameType.ResetStream || (type <= FrameType.Headers && (flags & Flag.EndStream) !== 0);
}

function outcomeOf(client: RawClient): Outcome {
  const streams = new Map<number, string>();
  const add = (id: number, text: string) => streams.set(id, `${streams.get(id) ?? ""}${text}`);
  let goAwayCode = 0;
  let goAwayMessage = "";
  for (const { type, flags, streamId, payload } of client.frames) {
    switch (type) {
      case FrameType.Headers: {
        const fields = client.decode(payload).filter(([name]) => /^(:status|grpc-status)$/.test(name));
        add(streamId, fields.map(([name, value]) => `${name} ${value} `).join(""));
        break;
      }
      case FrameType.Data:
        add(streamId, payload.toString("hex"));
        break;
      case FrameType.ResetStream:
        add(streamId, reset);
        break;
      case FrameType.GoAway:
        goAwayCode = payload.readUInt32BE(4);
        goAwayMessage = payload.toString("latin1", 8);
        break;
      default:
    }
    if (type <= FrameType.Headers && (flags & Flag.EndStream) !== 0) {
      add(streamId, answered);
    }
  }
  return { isOver: client.isClosed || goAwayCode > 0, goAwayMessage, streams };
}

async function startNodeEcho(): Promise<NodeHttp2Server> {
  const server = createServer({ settings: { enablePush: false } });
  server.on("sessionError", () => {});
  server.on("stream", (stream: ServerHttp2Stream, headers) => {
    stream.on("error", () => {});
    const path = headers[":path"];
    const isGrpc = String(headers["content-type"]).startsWith("application/grpc");
    if (headers[":method"] !== "POST") {
      whole(stream, (_) => {
        stream.respond({ ":status": 200, "content-type": "text/plain" });
        stream.end("hello from the general way\n");
      });
    } else if (isGrpc && (path === lanePath || path === laterPath)) {
      whole(stream, (body) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
        stream.end(body);
      });
    } else {
      stream.respond({ ":status": 200, "content-type": "application/octet-stream" });
      stream.pipe(stream);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return server;
}

function whole(stream: ServerHttp2Stream, then: (body: Buffer) => void): void {
  const chunks: Buffer[] = [];
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("end", () => {
    if (!stream.destroyed && !stream.closed) {
      then(Buffer.concat(chunks));
    }
  });
}
