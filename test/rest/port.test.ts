import { writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { request as httpsRequest } from "node:https";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createAuthority } from "../support/certificates.ts";
import { TestServer } from "../support/test-server.ts";
import { RestRig } from "./rest-rig.ts";

const root = createAuthority();

/** The REST API behind TLS, with its files where a test may change them. */
async function startTls() {
  const rig = new RestRig();
  const certificate = join(rig.directory, "rest.pem");
  const privateKey = join(rig.directory, "rest-key.pem");
  const write = (authority = root) => {
    const issued = authority.issue();
    writeFileSync(certificate, issued.certificatePem);
    writeFileSync(privateKey, issued.keyPem, { mode: 0o600 });
  };
  write();
  await rig.start({
    TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0",
    TOKEN_AUTHORITY_REST_TLS_CERT: certificate,
    TOKEN_AUTHORITY_REST_TLS_KEY: privateKey,
  });
  return { rig, write, certificate };
}

function portOf(rig: RestRig): string {
  return rig.server.restAddress?.split(":")[1] ?? "";
}

/** The status over HTTP/1.1 and a connection of its own, or the error's code. */
function statusOverTls(rig: RestRig, key: string, ca = root): Promise<number | string | undefined> {
  return new Promise((resolve) => {
    httpsRequest(
      {
        ...{ host: "localhost", port: portOf(rig), path: "/v1/tokens", agent: false, ca: ca.certificatePem },
        headers: { authorization: `Bearer ${key}` },
      },
      (response) => response.resume().once("end", () => resolve(response.statusCode)),
    )
      .once("error", (error) => resolve("code" in error ? String(error.code) : error.message))
      .end();
  });
}

function statusOverHttp2(url: string, key: string, ca?: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(url, ca === undefined ? {} : { ca });
    session.on("error", reject);
    const stream = session.request({ ":path": "/v1/tokens", authorization: `Bearer ${key}` });
    stream.on("response", (header) => {
      stream.resume();
      session.close(() => resolve(Number(header[":status"])));
    });
  });
}

describe("the port of the REST API", () => {
  it("is not there unless it is asked for", async () => {
    await using server = await TestServer.start();
    expect(server.server.restAddress).toBeNull();
  });

  it("serves merchants over TLS without a client certificate, HTTP/1.1 and HTTP/2", async () => {
    const { rig } = await startTls();
    await using _end = rig;
    const { key } = await rig.issue();
    expect(await statusOverTls(rig, key)).toBe(200);
    expect(await statusOverTls(rig, "nonsense")).toBe(401);
    expect(await statusOverHttp2(`https://localhost:${portOf(rig)}`, key, root.certificatePem)).toBe(200);
    const metrics = await rig.metrics();
    expect(metrics).toMatch(/^token_authority_rest_certificate_expiry_timestamp_seconds 1\d{9}$/m);
  });

  it("serves HTTP/2 in plaintext as well", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    expect(await statusOverHttp2(`http://${rig.server.restAddress}`, key)).toBe(200);
  });

  it("has a new certificate after a reload, and keeps the old one when the new is no good", async () => {
    const { rig, write, certificate } = await startTls();
    await using _end = rig;
    const { key } = await rig.issue();
    writeFileSync(certificate, "no certificate");
    rig.server.reload();
    await expect
      .poll(() => rig.logged)
      .toContainEqual({
        level: "error",
        fields: { fault: `${certificate}: holds no PEM certificate` },
        message: "certificates and callers were not reloaded: the old ones hold",
      });
    expect(await statusOverTls(rig, key)).toBe(200);

    const another = createAuthority("another root");
    write(another);
    rig.server.reload();
    await expect.poll(() => statusOverTls(rig, key, another)).toBe(200);
    expect(await statusOverTls(rig, key)).not.toBe(200);
  });

  it("ends a start whose certificate cannot be read, with a line for whoever mends it", async () => {
    await using rig = new RestRig();
    const files = { TOKEN_AUTHORITY_REST_TLS_CERT: "none.pem", TOKEN_AUTHORITY_REST_TLS_KEY: "none.pem" };
    await expect(rig.start({ TOKEN_AUTHORITY_REST_LISTEN: "127.0.0.1:0", ...files })).rejects.toThrow(
      "none.pem: cannot be read (ENOENT)",
    );
  });

  it("serves no RPC, and the port of RPCs no REST", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    expect(await rig.codeOf("POST", "/casapay.token.v1.TokenService/List", { key, body: {} })).toBe("404 not_found");
    const response = await fetch(`http://${rig.server.address}/v1/tokens`, {
      headers: { authorization: `Bearer ${key}` },
    });
    expect(response.status).toBe(404);
  });

  it("has a thread of its own, however many serve the RPCs", async () => {
    await using rig = await RestRig.start({ TOKEN_AUTHORITY_THREADS: "2" });
    const { key } = await rig.issue();
    const url = `http://${rig.server.restAddress}`;
    const statuses = await Promise.all(Array.from({ length: 16 }, () => statusOverHttp2(url, key)));
    expect(new Set(statuses)).toEqual(new Set([200]));
    const metrics = await rig.metrics();
    expect(metrics).toMatch(/^token_authority_threads 3$/m);
  });

  it("is measured: by operation and code, and refused keys by reason", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    await rig.call("GET", "/v1/tokens", { key });
    await rig.call("GET", "/v1/tokens", { key: "nonsense" });
    await rig.call("GET", "/v1/tokens");
    const metrics = await rig.metrics();
    const count = (code: string) =>
      `rpc_server_call_duration_seconds_count{rpc_system_name="rest",rpc_method="casapay.token.v1.TokenService/List",rpc_response_status_code="${code}"}`;
    expect(metrics).toContain(`${count("OK")} 1\n`);
    expect(metrics).toContain(`${count("UNAUTHENTICATED")} 2\n`);
    expect(metrics).toContain('token_authority_refusals_total{reason="KEY_MALFORMED"} 1\n');
  });

  it("logs each 401 and 403, to be found by its request_id", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.restricted(["events:read"]);
    for (const request of [{}, {}, { key: "nonsense" }, { key: "nonsense" }, { key }, { key }]) {
      const { header, json } = await rig.call("GET", "/v1/tokens", request);
      const requestId = header.get("request-id");
      const lines = () => rig.logged.filter(({ fields }) => "request_id" in fields && fields.request_id === requestId);
      // Another thread may write it.
      await expect
        .poll(lines)
        .toMatchObject([{ message: "key refused", fields: { refusal: json.error.code.toUpperCase() } }]);
    }
  });

  it("lets requests under way end when the process does", async () => {
    await using rig = await RestRig.start();
    const { key } = await rig.issue();
    const session = connectHttp2(`http://${rig.server.restAddress}`);
    const body = JSON.stringify({ name: "a key", permissions: ["events:read"] });
    const header = { ":method": "POST", ":path": "/v1/tokens", authorization: `Bearer ${key}` };
    const streams = Array.from({ length: 20 }, () => {
      const stream = session.request({ ...header, "content-type": "application/json" });
      stream.end(body);
      return stream;
    });
    const statuses = streams.map(
      (stream) => new Promise((resolve) => stream.on("response", (answer) => resolve(answer[":status"])).resume()),
    );
    // On one connection: once this is answered, all of the above have been received.
    const last = session.request({ ":path": "/v1/openapi.json" }).resume();
    await new Promise((resolve) => last.once("response", resolve));
    await rig.stop();
    expect(new Set(await Promise.all(statuses))).toEqual(new Set([200]));
    session.close();
  });
});
