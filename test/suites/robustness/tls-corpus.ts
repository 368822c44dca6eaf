import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { connect } from "node:tls";
import { type CorpusCase, leavesOpen, sends } from "./corpus-case.ts";
import { openSettings } from "./h2-frames.ts";

/** What does not speak TLS, or not to its end, for the TLS port. */
export function tlsCorpus(hello: Buffer): readonly CorpusCase[] {
  return [
    sends("plaintext on the TLS port: HTTP/1.1", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    sends("plaintext on the TLS port: HTTP/2", openSettings),
    sends("TLS: nothing"),
    sends("TLS: a hello alone", hello),
    sends("TLS: half a hello", hello.subarray(0, hello.byteLength / 2)),
    sends("TLS: a hello twice", hello, hello),
    sends("TLS: a hello and plaintext", hello, "GET / HTTP/1.1\r\n\r\n"),
    sends("TLS: a hello and 1 MiB of zeros", hello, Buffer.alloc(1024 * 1024)),
    sends("TLS: a hello in records of one byte", recordsOfOneByte(hello)),
  ];
}

export function slowTlsCorpus(hello: Buffer): readonly CorpusCase[] {
  return [
    leavesOpen(sends("slow: says nothing on the TLS port")),
    leavesOpen(sends("slow: half a TLS hello", hello.subarray(0, hello.byteLength / 2))),
    leavesOpen(sends("slow: a TLS hello and nothing more", hello)),
  ];
}

/** The first record that a TLS client sends. */
export async function recordClientHello(): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") {
    throw new Error("the recorder has no port");
  }
  const client = connect({
    port: address.port,
    host: "127.0.0.1",
    servername: "localhost",
    ALPNProtocols: ["h2", "http/1.1"],
  });
  // It is told nothing and cut off: that is all it can complain of.
  client.on("error", () => client.destroy());
  const [socket] = (await once(server, "connection")) as [Socket];
  const [hello] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

function recordsOfOneByte(hello: Buffer): Buffer {
  return Buffer.concat([...hello.subarray(5)].map((byte) => Buffer.from([0x16, 0x03, 0x01, 0x00, 0x01, byte])));
}
