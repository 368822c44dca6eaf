// A baseline: node:http2 alone, which reads a call and answers the same bytes to each. Says where it listens, ends on
// SIGTERM.
//
//   node http2-echo-server.ts [CERTIFICATE KEY CLIENT_CA]
import { readFileSync } from "node:fs";
import { createSecureServer, createServer, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";

/** As long as a usual AuthenticateResponse, behind its prefix, and with the tag of a principal. */
const answer = Buffer.alloc(5 + 60);
answer.writeUInt32BE(60, 1);
answer[5] = 0x0a;

const [cert, key, ca] = process.argv.slice(2).map((file) => readFileSync(file));
const server =
  cert === undefined || key === undefined || ca === undefined
    ? createServer()
    : createSecureServer({ cert, key, ca, requestCert: true, minVersion: "TLSv1.3" });
server.on("stream", (stream: ServerHttp2Stream) => {
  stream.on("error", () => {});
  stream.on("data", () => {});
  stream.on("end", () => {
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(answer);
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));
