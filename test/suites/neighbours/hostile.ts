// A process of strangers: opens as many connections as it is told to, in one of several bad ways, and again what was
// cut, until it is ended.
//
//   node test/suites/neighbours/hostile.ts KIND PORT KEY
import { connect as connectTcp } from "node:net";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";

const [kind = "", portText = "", key = ""] = process.argv.slice(2);
const port = Number(portText);
// In life they are on machines of their own. Here they go after the others.
setPriority(5);

function frame(type: number, flags: number, id: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(id, 5);
  return Buffer.concat([head, payload]);
}

/** Without indexing; names and values are shorter than 127 bytes. */
function field(name: string, value: string): Buffer {
  const [nameBytes, valueBytes] = [Buffer.from(name), Buffer.from(value)];
  return Buffer.concat([Buffer.from([0, nameBytes.length]), nameBytes, Buffer.from([valueBytes.length]), valueBytes]);
}

function preface(settings: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(4, 0, 0, settings),
    frame(4, 1, 0, Buffer.alloc(0)),
  ]);
}

const noWindow = Buffer.from([0, 4, 0, 0, 0, 0]);
const ids = (count: number) => Array.from({ length: count }, (_, at) => 1 + 2 * at);

/** Four parts of DATA for each of 15 calls, none of which ends. */
const unfinishedBodies = (): Buffer => {
  const head = Buffer.concat([
    Buffer.from([0x83, 0x87]),
    field(":path", "/casapay.token.v1.TokenService/Authenticate"),
    field(":authority", "localhost"),
    field("content-type", "application/grpc"),
  ]);
  const part = Buffer.alloc(16_000, 0x41);
  const calls = ids(15).flatMap((id) => [frame(1, 4, id, head), ...Array(4).fill(frame(0, 0, id, part))]);
  return Buffer.concat([preface(), ...calls]);
};

/** 64 long lists, and no window to send them. */
const unreadLists = (): Buffer => {
  const head = Buffer.concat([
    Buffer.from([0x82, 0x87]),
    field(":path", "/v1/tokens?limit=100"),
    field(":authority", "localhost"),
    field("authorization", `Bearer ${key}`),
  ]);
  return Buffer.concat([preface(noWindow), ...ids(64).map((id) => frame(1, 5, id, head))]);
};

type Behaviour = { readonly connections: number; readonly bytes: Buffer; readonly pauseMs: number };

const behaviours: Readonly<Record<string, () => Behaviour>> = {
  "unfinished-bodies": () => ({ connections: 1000, bytes: unfinishedBodies(), pauseMs: 5 }),
  "unread-lists": () => ({ connections: 400, bytes: unreadLists(), pauseMs: 50 }),
  idle: () => ({ connections: 9000, bytes: preface(), pauseMs: 2 }),
};

function open(bytes: Buffer): Promise<TLSSocket> {
  return new Promise((resolve) => {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    socket.on("error", () => {});
    socket.on("data", () => {});
    socket.once("secureConnect", () => socket.write(bytes));
    // Whether or not it came to something.
    socket.once("secureConnect", () => resolve(socket));
    socket.once("close", () => resolve(socket));
  });
}

async function hold({ connections, bytes, pauseMs }: Behaviour): Promise<never> {
  const held = new Set<TLSSocket>();
  for (;;) {
    if (held.size < connections) {
      const socket = await open(bytes);
      held.add(socket);
      socket.once("close", () => held.delete(socket));
    }
    await sleep(pauseMs);
  }
}

/** Twelve at once, each a new connection as soon as the last one's handshake is done. */
async function shakeHands(): Promise<void> {
  const loop = async () => {
    for (;;) {
      (await open(Buffer.alloc(0))).destroy();
    }
  };
  await Promise.all(Array.from({ length: 12 }, loop));
}

/** Connections that say nothing at all, as many as a descriptor table holds. */
async function saySilence(): Promise<void> {
  for (;;) {
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => {}).resume();
    setTimeout(() => socket.destroy(), 5000);
    await sleep(5);
  }
}

switch (kind) {
  case "handshakes":
    await shakeHands();
    break;
  case "silence":
    await saySilence();
    break;
  default: {
    const behaviour = behaviours[kind];
    if (behaviour === undefined) {
      throw new Error(`there is no way to behave called ${kind}`);
    }
    await hold(behaviour());
  }
}
