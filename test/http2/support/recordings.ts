import { readdirSync, readFileSync } from "node:fs";
import { connect } from "node:http2";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { lanePath, laterPath, startTestServer } from "./test-server.ts";

const directory = join(import.meta.dirname, "..", "recordings");

/**
 * What other people's programs said, as test/suites/record-conversations.ts recorded it: by name, from their first byte
 * to their last.
 */
export function readRecordings(): ReadonlyMap<string, Buffer> {
  const files = readdirSync(directory).filter((file) => file.endsWith(".bin"));
  return new Map(files.map((file) => [file, readFileSync(join(directory, file))]));
}

export type RecordingServer = AsyncDisposable & {
  readonly port: number;
  /** What was said on each connection so far, the shortest ones, of probes, left out. */
  conversations(): Buffer[];
};

/** The echo server, with an ear at its sockets. */
export async function recordingServer(): Promise<RecordingServer> {
  const server = await startTestServer();
  const heard: Buffer[][] = [];
  const accept = server.http2.accept.bind(server.http2);
  server.http2.accept = (socket, context) => {
    const chunks: Buffer[] = [];
    heard.push(chunks);
    socket.on("data", (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
    return accept(socket, context);
  };
  return {
    port: server.port,
    conversations: () => heard.map((chunks) => Buffer.concat(chunks)).filter((bytes) => bytes.length > 100),
    [Symbol.asyncDispose]: () => server.close(500),
  };
}

/** What node:http2 and grpc-js say now. */
export async function recordConversations(): Promise<Buffer[]> {
  await using server = await recordingServer();
  const session = connect(`http://127.0.0.1:${server.port}`);
  await Promise.all(
    [
      ["GET", "/"],
      ["POST", "/upload"],
      ["GET", "/again?and=again"],
    ].map(
      ([method, path]) =>
        new Promise((resolve) => {
          const stream = session.request({ ":method": method, ":path": path, "user-agent": "recorded", accept: "*/*" });
          stream.end(method === "POST" ? Buffer.alloc(3_000, 97) : undefined);
          stream.on("end", resolve).resume();
        }),
    ),
  );
  await new Promise<void>((resolve) => session.close(resolve));

  const client = new Client(`127.0.0.1:${server.port}`, credentials.createInsecure());
  const identity = (bytes: Buffer): Buffer => bytes;
  const call = (path: string): Promise<null> =>
    new Promise((resolve) => {
      const options = { deadline: Date.now() + 5_000 };
      client.makeUnaryRequest(path, identity, identity, Buffer.from("a message"), options, () => resolve(null));
    });
  await Promise.all([lanePath, laterPath, lanePath, "/no.Such/Method"].map(call));
  client.close();
  return server.conversations();
}
