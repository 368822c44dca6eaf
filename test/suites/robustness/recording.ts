import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { TokenType } from "#gen/casapay/token/v1/token_pb.ts";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { Health } from "#gen/grpc/health/v1/health_pb.ts";
import { createTokenClient } from "../support/token-client.ts";
import { preface } from "./h2-frames.ts";

/** All that a client sent for one valid request. */
export type Recording = {
  readonly name: string;
  readonly bytes: Buffer;
  /** The bytes without which the rest is not even looked at. */
  readonly keep: number;
};

type Client = {
  readonly name: string;
  readonly transport: (baseUrl: string) => Transport;
};

const clients: readonly Client[] = [
  {
    name: "Connect JSON, HTTP/1.1",
    transport: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
  },
  {
    name: "Connect, HTTP/1.1",
    transport: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: true }),
  },
  { name: "gRPC-Web, HTTP/1.1", transport: (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }) },
  {
    name: "Connect JSON, h2c",
    transport: (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  },
  { name: "gRPC-Web, h2c", transport: (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" }) },
  { name: "gRPC, h2c", transport: (baseUrl) => createGrpcTransport({ baseUrl }) },
];

/** What the recorded requests name; none of it is the key that the suite itself relies on. */
export type Subject = {
  readonly id: string;
  readonly key: string;
  readonly account: string;
  readonly revocableId: string;
};

/** Records one valid request for each RPC and client, while it passes through on its way to a real server. */
export async function recordRequests(port: number, subject: Subject): Promise<readonly Recording[]> {
  const recordings: Recording[] = [];
  for (const { name, transport } of clients) {
    for (const [rpc, call] of Object.entries(callsOf(subject))) {
      const bytes = await record(port, (proxyPort) => call(transport(`http://127.0.0.1:${proxyPort}`)));
      recordings.push(recordingOf(`${rpc}, ${name}`, bytes));
    }
  }
  const bytes = await record(port, async (proxyPort) => {
    using client = createTokenClient(`127.0.0.1:${proxyPort}`);
    await client.call(TokenService.method.authenticate, { key: subject.key });
  });
  return [...recordings, recordingOf("Authenticate, grpc-js", bytes)];
}

function callsOf({
  id,
  key,
  account,
  revocableId,
}: Subject): Record<string, (transport: Transport) => Promise<unknown>> {
  const request = { account, name: "recorded", type: TokenType.RESTRICTED, permissions: ["a:read", "b:write"] };
  return {
    create: (transport) => createClient(TokenService, transport).create(request),
    get: (transport) => createClient(TokenService, transport).get({ id }),
    list: (transport) => createClient(TokenService, transport).list({ account, pageSize: 3 }),
    authenticate: (transport) =>
      createClient(TokenService, transport).authenticate({ key, requiredPermissions: ["a:read"] }),
    revoke: (transport) => createClient(TokenService, transport).revoke({ id: revocableId, reason: "recorded" }),
    check: (transport) => createClient(Health, transport).check({}),
  };
}

function recordingOf(name: string, bytes: Buffer): Recording {
  return { name, bytes, keep: bytes.indexOf(preface) === 0 ? preface.byteLength : 0 };
}

async function record(port: number, call: (proxyPort: number) => Promise<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const sockets: Socket[] = [];
  const proxy = createServer((socket) => {
    const onwards = connect({ port, host: "127.0.0.1" });
    sockets.push(socket, onwards);
    for (const one of [socket, onwards]) {
      one.on("error", () => one.destroy());
    }
    socket.on("data", (chunk: Buffer) => chunks.push(chunk));
    socket.pipe(onwards).pipe(socket);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  try {
    await call(portOf(proxy));
  } finally {
    proxy.close();
    for (const socket of sockets) {
      socket.destroy();
    }
  }
  return Buffer.concat(chunks);
}

function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the proxy has no port");
  }
  return address.port;
}
