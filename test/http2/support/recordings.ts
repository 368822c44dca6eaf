import { connect } from "node:http2";
import { Client, credentials } from "@grpc/grpc-js";
import { lanePath, laterPath, startTestServer } from "./test-server.ts";

/** What real clients said to a server, from their first byte to their last. */
export async function recordConversations(): Promise<Buffer[]> {
  const server = await startTestServer();
  const heard: Buffer[][] = [];
  const accept = server.http2.accept.bind(server.http2);
  server.http2.accept = (socket, context) => {
    const chunks: Buffer[] = [];
    heard.push(chunks);
    socket.on("data", (chunk: Buffer) => chunks.push(Buffer.from(chunk)));
    return accept(socket, context);
  };

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
  await server.close(500);
  return heard.map((chunks) => Buffer.concat(chunks)).filter((bytes) => bytes.length > 100);
}
