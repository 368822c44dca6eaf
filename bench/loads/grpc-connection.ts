import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from "node:http2";

export type GrpcAnswer = {
  /** As in grpc-status: `0` is OK. */
  readonly status: string;
  /** The message without its prefix; empty unless the status is OK. */
  readonly message: Uint8Array;
};

/** One HTTP/2 connection in cleartext, for unary gRPC calls. */
export type GrpcConnection = Disposable & {
  /** Rejects when the connection breaks. */
  call(path: string, message: Uint8Array): Promise<GrpcAnswer>;
};

const prefixBytes = 5;

/** `address` is HOST:PORT. */
export async function openGrpcConnection(address: string): Promise<GrpcConnection> {
  const session = connect(`http://${address}`);
  await once(session, "connect");
  // What breaks the connection rejects the calls on it.
  session.on("error", () => {});
  return {
    call(path, message) {
      return new Promise((resolve, reject) => call(session, path, message, resolve, reject));
    },
    [Symbol.dispose]() {
      session.destroy();
    },
  };
}

function call(
  session: ClientHttp2Session,
  path: string,
  message: Uint8Array,
  resolve: (answer: GrpcAnswer) => void,
  reject: (error: Error) => void,
): void {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc+proto",
    te: "trailers",
  });
  const chunks: Buffer[] = [];
  let status = "none";
  stream.on("response", (header) => {
    // An error may come in the header, with no trailer after it.
    status = String(header["grpc-status"] ?? status);
  });
  stream.on("trailers", (trailer) => {
    status = String(trailer["grpc-status"] ?? status);
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  stream.on("error", reject);
  stream.on("end", () => resolve({ status, message: Buffer.concat(chunks).subarray(prefixBytes) }));
  stream.on("close", () => reject(new Error("the stream was closed before its end")));
  send(stream, message);
}

function send(stream: ClientHttp2Stream, message: Uint8Array): void {
  const body = Buffer.alloc(prefixBytes + message.length);
  body.writeUInt32BE(message.length, 1);
  body.set(message, prefixBytes);
  stream.end(body);
}
