import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, it } from "vitest";
import { turn } from "../support/eventually.ts";
import { lanePath, laterPath, startTestServer, type TestServer } from "./support/test-server.ts";

const folder = mkdtempSync(join(tmpdir(), "http2-tls-"));
const keyFile = join(folder, "key.pem");
const certFile = join(folder, "cert.pem");
let server: TestServer;

beforeAll(async () => {
  const names = "subjectAltName=DNS:localhost,IP:127.0.0.1";
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"].concat([
      "-subj",
      "/CN=localhost",
      "-addext",
      names,
      "-keyout",
      keyFile,
      "-out",
      certFile,
    ]),
    { stdio: "ignore" },
  );
  server = await startTestServer({ tls: { keyFile, certFile } });
});

afterAll(async () => {
  await server.close(1_000);
  expect(server.errors).toEqual([]);
  rmSync(folder, { recursive: true });
});

it("carries bodies of all sizes both ways over TLS, slow readers included", async () => {
  const session = connect(`https://localhost:${server.port}`, { ca: readFileSync(certFile), maxSessionMemory: 100 });
  const ask = async (path: string, body: Buffer): Promise<Buffer> => {
    const stream = session.request({ ":method": "POST", ":path": path, "content-type": "application/grpc" });
    stream.end(body);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      if (chunks.length % 50 === 0) {
        await turn();
      }
    }
    return Buffer.concat(chunks);
  };
  const small = Array.from({ length: 300 }, (_, at) => ({
    path: at % 2 ? lanePath : laterPath,
    body: randomBytes(at),
  }));
  const large = Array.from({ length: 4 }, () => ({ path: "/large", body: randomBytes(2_000_000) }));
  const all = [...small, ...large];
  const answers = await Promise.all(all.map(({ path, body }) => ask(path, body)));
  expect(answers.every((answer, at) => all[at]?.body.equals(answer))).toBe(true);
  await new Promise<void>((resolve) => session.close(resolve));
});

it("serves grpc-js over TLS", async () => {
  const client = new Client(`localhost:${server.port}`, credentials.createSsl(readFileSync(certFile)));
  const identity = (bytes: Buffer): Buffer => bytes;
  const call = (body: Buffer): Promise<Buffer | undefined> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(lanePath, identity, identity, body, (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
  const bodies = Array.from({ length: 200 }, (_, at) => randomBytes(at));
  const answers = await Promise.all(bodies.map(call));
  expect(answers.every((answer, at) => answer !== undefined && bodies[at]?.equals(answer))).toBe(true);
  client.close();
});
