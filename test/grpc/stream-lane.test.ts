import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Role } from "../../src/authority/caller.ts";
import { fieldInvalid } from "../../src/authority/errors.ts";
import type { FinishedCall } from "../../src/calls/finished-call.ts";
import { createStreamLane, type Line, type Talk } from "../../src/calls/grpc/stream-lane.ts";
import { deadlineExceeded, statusOf } from "../../src/calls/status.ts";
import type { Speaker } from "../../src/wire/http2/stream-lane.ts";
import { lengthPrefixed } from "../../src/wire/protobuf/length-prefixed.ts";
import { peerOf } from "../connect/connect-rig.ts";
import { fieldsIn } from "./lane-rig.ts";

/** Keeps what is said on a stream. */
class Wire implements Speaker {
  hasRoom = true;
  readonly said: string[] = [];
  readonly blocks: Record<string, string>[] = [];
  hasEnded = false;

  begin(head: Uint8Array): void {
    this.blocks.push(fieldsIn(head));
  }

  send(bytes: Uint8Array): void {
    this.said.push(Buffer.from(bytes.subarray(5)).toString());
  }

  end(block: Uint8Array): void {
    this.blocks.push(fieldsIn(block));
    this.hasEnded = true;
  }

  /** The error that the call ended with. */
  get error() {
    const { ":status": _, ...fields } = this.blocks.at(-1) ?? {};
    return findTrailerError(new Headers(fields));
  }
}

/** A stream on a lane whose talk repeats what it hears, and what the test adds. */
function openStream(options: { readonly role?: Role; readonly timeout?: string; readonly talk?: Partial<Talk> } = {}) {
  const wire = new Wire();
  const calls: FinishedCall[] = [];
  const reported: unknown[] = [];
  const toSay: string[] = [];
  const heard: string[] = [];
  let role: Role | null = options.role ?? "gateway";
  let line: Line | null = null;
  let left = 0;
  const lane = createStreamLane(
    TokenService.method.watch,
    (opened) => {
      line = opened;
      return {
        hear(bytes, start, end) {
          heard.push(bytes.toString("utf8", start, end));
          return heard.at(-1) !== "goodbye";
        },
        next() {
          const next = toSay.shift();
          return next === undefined ? null : lengthPrefixed(Buffer.from(next));
        },
        leave() {
          left += 1;
        },
        ...options.talk,
      };
    },
    { roleOf: () => role, reportFault: (error) => reported.push(error), onCall: (call) => calls.push(call) },
  );
  const peer = peerOf("gateway");
  const listener = lane.open(["application/grpc", null, options.timeout ?? null], peer, wire);
  return {
    wire,
    calls,
    reported,
    heard,
    get line(): Line {
      if (line === null) {
        throw new Error("the stream was not opened");
      }
      return line;
    },
    listener,
    leftTimes: () => left,
    hear(bytes: Uint8Array) {
      // In the middle of a buffer that is used for something else right after.
      const buffer = Buffer.alloc(bytes.length + 32, 0x08);
      buffer.set(bytes, 11);
      listener?.hear(buffer, 11, 11 + bytes.length);
      buffer.fill(0xff);
    },
    say(...texts: string[]) {
      toSay.push(...texts);
      line?.wake();
    },
    becomes(next: Role | null) {
      role = next;
    },
  };
}

const message = (text: string) => lengthPrefixed(Buffer.from(text));
/** The call is told of once the turn is over. */
const turn = () => new Promise((resolve) => setImmediate(resolve));

it("hears each message as a whole, however its bytes are cut", () => {
  const texts = fc.array(fc.string({ maxLength: 40 }), { maxLength: 6 });
  const cuts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 10 });
  fc.assert(
    fc.property(texts, cuts, (sent, sizes) => {
      const stream = openStream();
      const bytes = Buffer.concat(sent.map((text) => message(`+${text}`)));
      let at = 0;
      for (let cut = 0; at < bytes.length; cut += 1) {
        const size = sizes[cut % sizes.length] ?? 1;
        stream.hear(bytes.subarray(at, at + size));
        at += size;
      }
      stream.listener?.hearEnd();
      expect(stream.heard).toEqual(sent.map((text) => `+${text}`));
      expect(stream.wire.error).toBeUndefined();
      expect(stream.wire.hasEnded).toBe(true);
    }),
  );
});

it("tells what it did for a part of a body by its messages, however small they are, and by their bytes", () => {
  const stream = openStream();
  const workOf = (bytes: Uint8Array) => stream.listener?.hear(Buffer.from(bytes), 0, bytes.length) ?? 0;
  const one = workOf(message(""));
  expect(one).toBeGreaterThan(0);
  expect(workOf(Buffer.concat(Array.from({ length: 1000 }, () => message(""))))).toBe(1000 * one);
  expect(workOf(message("x".repeat(1024)))).toBeGreaterThan(50);
  expect(workOf(message("in parts").subarray(0, 7))).toBe(0);
});

it("says what there is to say as long as there is room, and ends once all was heard and said", async () => {
  const stream = openStream();
  stream.say("one");
  stream.wire.hasRoom = false;
  stream.say("two", "three");
  expect(stream.wire.said).toEqual(["one"]);
  stream.listener?.hearEnd();
  expect(stream.wire.hasEnded).toBe(false);
  stream.wire.hasRoom = true;
  stream.listener?.onRoom();
  expect(stream.wire.said).toEqual(["one", "two", "three"]);
  expect(stream.wire.blocks).toEqual([
    { ":status": "200", "content-type": "application/grpc" },
    { "grpc-status": "0" },
  ]);
  await turn();
  expect(stream.calls).toMatchObject([{ rpc: "casapay.token.v1.TokenService/Watch", protocol: "grpc", code: "OK" }]);
  expect(stream.leftTimes()).toBe(1);
});

it("hears nothing behind the message after which no more is wanted", async () => {
  const stream = openStream();
  stream.hear(Buffer.concat([message("hello"), message("goodbye"), message("again")]));
  stream.hear(Buffer.from("no message at all"));
  expect(stream.heard).toEqual(["hello", "goodbye"]);
  await turn();
  expect(stream.calls).toMatchObject([{ code: "OK" }]);
});

describe("refuses", () => {
  const flagged = (flag: number) => Buffer.concat([Buffer.of(flag, 0, 0, 0, 1), Buffer.from("x")]);

  it.each([
    ["a message that is marked as compressed", flagged(1), "COMPRESSION_UNNAMED"],
    ["a message with an unknown mark", flagged(2), "REQUEST_MALFORMED"],
    ["a message that is too large, by its prefix", Buffer.of(0, 0, 1, 0, 1), "REQUEST_TOO_LARGE"],
  ])("%s", async (_, bytes, reason) => {
    for (const parts of [[bytes], [...bytes].map((byte) => Buffer.of(byte))]) {
      const stream = openStream();
      for (const part of parts) {
        stream.hear(part);
      }
      await turn();
      expect(stream.calls).toMatchObject([{ reason }]);
      // One header block, since nothing was said.
      expect(stream.wire.blocks).toHaveLength(1);
      expect(stream.wire.error?.rawMessage).not.toBe("");
      expect([stream.heard, stream.leftTimes()]).toEqual([[], 1]);
    }
  });

  it("a request that ends within a message", async () => {
    const stream = openStream();
    stream.hear(message("half").subarray(0, 7));
    stream.listener?.hearEnd();
    await turn();
    expect(stream.calls).toMatchObject([{ reason: "REQUEST_MALFORMED" }]);
  });

  it("a caller who may not call, before anything is opened", async () => {
    const stream = openStream({ role: "service" });
    expect(stream.listener).toBeNull();
    expect(stream.calls).toMatchObject([{ reason: "ROLE_NOT_ALLOWED", code: "PERMISSION_DENIED" }]);
    expect(stream.wire.blocks).toMatchObject([{ ":status": "200", "grpc-status": "7" }]);
  });
});

describe("a caller who may call no longer", () => {
  it("is heard no more", async () => {
    const stream = openStream();
    stream.hear(message("hello"));
    stream.becomes("service");
    stream.hear(message("again"));
    expect(stream.heard).toEqual(["hello"]);
    await turn();
    expect(stream.calls).toMatchObject([{ reason: "ROLE_NOT_ALLOWED" }]);
  });

  it("is told nothing more", async () => {
    const stream = openStream();
    stream.say("one");
    stream.becomes(null);
    stream.say("two");
    expect(stream.wire.said).toEqual(["one"]);
    expect(stream.wire.blocks.at(-1)).toMatchObject({ "grpc-status": "7" });
    await turn();
    expect(stream.calls).toMatchObject([{ reason: "CALLER_UNKNOWN" }]);
  });
});

describe("ends with", () => {
  it("what who answers throws: a refusal in its words, a fault without any", async () => {
    const refusing = openStream({
      talk: {
        hear() {
          throw fieldInvalid("sequence", "must count 1, 2, 3 and so on");
        },
      },
    });
    refusing.hear(message("hello"));
    expect(refusing.wire.error?.rawMessage).toBe("sequence must count 1, 2, 3 and so on");
    const failing = openStream({
      talk: {
        next() {
          throw new Error("sk_live_not_for_callers");
        },
      },
    });
    failing.line.wake();
    expect(failing.wire.error?.rawMessage).not.toContain("sk_live");
    expect(failing.reported).toHaveLength(1);
  });

  it("the caller's deadline", async () => {
    const stream = openStream({ timeout: "1m" });
    await expect.poll(() => stream.wire.hasEnded).toBe(true);
    expect(stream.wire.error?.rawMessage).toBe(deadlineExceeded.message);
    expect(stream.calls).toMatchObject([{ code: "DEADLINE_EXCEEDED" }]);
    expect(stream.leftTimes()).toBe(1);
  });

  it("what ends it from outside, once", async () => {
    const stream = openStream();
    stream.say("one");
    stream.line.end(statusOf("UNDECIDED", "this authority is stopping"));
    stream.line.end(deadlineExceeded);
    stream.listener?.onClosed();
    stream.say("two");
    await turn();
    expect(stream.wire.said).toEqual(["one"]);
    expect(stream.wire.blocks.slice(1)).toMatchObject([{ "grpc-status": "14" }]);
    expect(stream.calls).toMatchObject([{ code: "UNAVAILABLE", reason: "UNDECIDED" }]);
    expect(stream.leftTimes()).toBe(1);
  });

  it("a cancellation, where its client has gone", async () => {
    const stream = openStream();
    stream.listener?.onClosed();
    await turn();
    expect(stream.calls).toMatchObject([{ code: "CANCELLED" }]);
    expect([stream.wire.hasEnded, stream.leftTimes()]).toEqual([false, 1]);
  });
});
