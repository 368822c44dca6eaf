// Runs h2spec --strict against the port, in cleartext and over TLS: every case passes, and none is skipped. The Go
// module proxy serves no later version of h2spec than this.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCertificateAuthority } from "./support/certificates.ts";
import { createReport } from "./support/report.ts";
import { runProgram } from "./support/run-program.ts";
import { startServerProcess } from "./support/server-process.ts";
import { installGoProgram } from "./support/tools.ts";

const version = "v2.2.1+incompatible";
const minCases = 140;

const report = createReport("h2spec");
using scratch = mkdtempDisposableSync(join(tmpdir(), "token-authority-h2spec-"));

const h2spec = await report.step(`install h2spec ${version}`, () =>
  installGoProgram("github.com/summerwind/h2spec/cmd/h2spec", version),
);
if (h2spec !== null) {
  await report.step("h2spec --strict, cleartext", () => judge(h2spec, "cleartext"));
  await report.step("h2spec --strict, TLS", () => judge(h2spec, "TLS"));
}
report.close();

async function judge(program: string, kind: "cleartext" | "TLS"): Promise<void> {
  const { settings, args } = kind === "TLS" ? overTls() : { settings: {}, args: [] };
  const sealingSecret = join(scratch.path, "sealing-secret");
  writeFileSync(sealingSecret, randomBytes(32), { mode: 0o600 });
  const dataDirectory = join(scratch.path, `data-${kind}`);
  await using server = await startServerProcess({ dataDirectory, sealingSecret, settings });
  const all = ["--strict", "--host", "127.0.0.1", "--port", String(server.port), ...args, "generic", "http2", "hpack"];
  const { stdout } = await runProgram(program, all, { timeoutMs: 240_000 });
  assert.equal(await server.stop(), 0, "the server ends in good order");
  const summary = stdout.trim().split("\n").at(-1) ?? "";
  console.log(`${kind}: ${summary}`);
  const [, tests, passed] = /^(\d+) tests, (\d+) passed, 0 skipped, 0 failed$/.exec(summary) ?? [];
  assert.ok(tests !== undefined && tests === passed && Number(tests) >= minCases, stdout);
}

/** Without a client certificate: what is served then is enough for HTTP/2. */
function overTls() {
  const certificate = createCertificateAuthority(scratch.path).issue("localhost", "DNS:localhost,IP:127.0.0.1");
  const callers = join(scratch.path, "callers.json");
  writeFileSync(callers, JSON.stringify({ nobody: "operator" }));
  const settings = {
    TLS_CERT: certificate.cert,
    TLS_KEY: certificate.key,
    TLS_CLIENT_CA: join(scratch.path, "ca.pem"),
    CALLERS: callers,
  };
  return { settings, args: ["--tls", "--insecure"] };
}
