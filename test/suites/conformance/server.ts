// The server under test. The runner starts one for each configuration, and gives it a ServerCompatRequest on standard
// input.

import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { startListener } from "../../../src/wire/port/listener.ts";
import { deafWatch } from "../../http/http-rig.ts";
import { createConformanceHandler } from "./conformance-handler.ts";
import { readSchema } from "./schema.ts";
import { createTlsSource } from "./tls-source.ts";

// What goes to standard error, the runner passes on.
const print = (fields: object, message: string) => console.error(message, fields);
const log = { info() {}, warn: print, error: print };

const [descriptorFile] = process.argv.slice(2);
if (descriptorFile === undefined) {
  throw new Error("usage: node server.ts DESCRIPTOR_FILE < ServerCompatRequest");
}
const schema = readSchema(descriptorFile);
const { clientTlsCert, messageReceiveLimit, serverCreds, useTls } = fromBinary(
  schema.serverCompatRequest,
  lengthPrefixed(await buffer(process.stdin)),
);
const tls =
  useTls && serverCreds !== undefined
    ? createTlsSource({
        certificatePem: serverCreds.cert,
        keyPem: serverCreds.key,
        clientCertificatePem: clientTlsCert,
      })
    : null;
const handler = createConformanceHandler({
  schema,
  maxMessageBytes: messageReceiveLimit,
  requireIdentity: clientTlsCert.byteLength > 0,
  log,
});
await using listener = await startListener({
  knowsCallers: false,
  address: { host: "127.0.0.1", port: 0 },
  tls: tls === null ? null : { source: tls, watch: deafWatch },
  handler,
  log,
});
const stopped = once(process, "SIGTERM");
if ("port" in listener.address) {
  const { host, port } = listener.address;
  const response = create(schema.serverCompatResponse, { host, port, pemCert: serverCreds?.cert ?? new Uint8Array(0) });
  process.stdout.write(withLength(toBinary(schema.serverCompatResponse, response)));
}
const runner = process.ppid;
// A runner that is killed sends no signal.
setInterval(() => {
  if (process.ppid !== runner) {
    process.exit(1);
  }
}, 1_000).unref();
await stopped;

/** The message behind a length of four bytes. */
function lengthPrefixed(bytes: Buffer): Uint8Array {
  return bytes.subarray(4, 4 + bytes.readUInt32BE(0));
}

function withLength(message: Uint8Array): Uint8Array {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.byteLength);
  return Buffer.concat([length, message]);
}
