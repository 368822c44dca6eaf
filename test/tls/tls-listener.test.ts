import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect as connectHttp2, constants } from "node:http2";
import { createConnection } from "node:net";
import type { SecureVersion } from "node:tls";
import { describe, expect, it } from "vitest";
import { handshakeFaultOf } from "../../src/wire/port/peer-watch.ts";
import { callHttp2, closed, connectRaw, readToEnd, sendRaw } from "../http/http-rig.ts";
import { createAuthority, createSelfSigned, forgeAuthority } from "../support/certificates.ts";
import { eventually } from "../support/eventually.ts";
import { clientOptions, openTls, openTlsSession, startTlsRig, type TlsRig } from "./tls-rig.ts";

const gateway = [{ uri: "spiffe://casapay/gateway" }];
const get = { ":path": "/" };
const request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

async function identitySeen(rig: TlsRig, client: Parameters<typeof openTlsSession>[1]): Promise<unknown> {
  await using session = await openTlsSession(rig, client);
  return JSON.parse((await callHttp2(session, get)).body).identity;
}

describe("TLS", () => {
  it("serves HTTP/2 by ALPN and HTTP/1.1 by ALPN or without, with absolute https URLs", async () => {
    await using rig = await startTlsRig();
    const client = rig.clientAuthority.issue({ names: gateway });
    await using session = await openTlsSession(rig, client);
    expect(session.alpnProtocol).toBe("h2");
    expect((await callHttp2(session, get)).body).toBe(
      '{"transport":"tls","fault":null,"identity":"spiffe://casapay/gateway"}',
    );
    for (const options of [{ ALPNProtocols: ["http/1.1"] }, {}]) {
      const socket = await openTls(rig, { ...clientOptions(rig, client), ...options });
      socket.write(request);
      expect(await readToEnd(socket)).toMatch(/^HTTP\/1\.1 200[\s\S]*spiffe:\/\/casapay\/gateway"\}$/);
    }
    expect(rig.http.requests.map(({ url }) => url.slice(0, 8))).toEqual(Array(3).fill("https://"));
    expect(rig.http.listener.counts()).toMatchObject({ handshaking: 0, http2: 1 });
  });

  it("answers a client that has closed its sending side behind its requests", async () => {
    await using rig = await startTlsRig({ answerAfterMs: 20 });
    const client = rig.clientAuthority.issue({ names: gateway });
    const socket = await openTls(rig, { ...clientOptions(rig, client), ...{ allowHalfOpen: true } });
    const answers = readToEnd(socket);
    socket.end(`GET / HTTP/1.1\r\nHost: localhost\r\n\r\n${request}`);
    expect((await answers).match(/HTTP\/1\.1 200/g)).toHaveLength(2);
    await eventually(() => rig.http.listener.counts().open === 0);
  });

  it.each<[SecureVersion, boolean]>([
    ["TLSv1.3", true],
    ["TLSv1.2", true],
    ["TLSv1.1", false],
  ])("%s is spoken: %s", async (version, isSpoken) => {
    await using rig = await startTlsRig();
    const options = {
      ...clientOptions(rig, null),
      minVersion: version,
      maxVersion: version,
      ciphers: "DEFAULT@SECLEVEL=0",
    };
    const outcome = await openTls(rig, options).then(
      (socket) => {
        socket.destroy();
        return true;
      },
      () => false,
    );
    expect(outcome).toBe(isSpoken);
    expect(await identitySeen(rig, null)).toBe(null);
  });

  it("lets a peer without a verified certificate connect, as nobody, and knows why", async () => {
    await using rig = await startTlsRig();
    const stranger = createAuthority("stranger");
    const dayMs = 86_400_000;
    const expired = { validFromMs: Date.now() - 2 * dayMs, validToMs: Date.now() - dayMs };
    const early = { validFromMs: Date.now() + dayMs, validToMs: Date.now() + 2 * dayMs };
    const serverOnly = { usages: ["1.3.6.1.5.5.7.3.1"] };
    const strangers = [
      [null, "CERTIFICATE_MISSING"],
      [stranger.issue({ names: gateway }), "CERTIFICATE_UNTRUSTED"],
      [stranger.issue({ names: gateway, ...expired }), "CERTIFICATE_UNTRUSTED"],
      [createSelfSigned({ names: gateway }), "CERTIFICATE_UNTRUSTED"],
      [rig.serverAuthority.issue({ names: gateway }), "CERTIFICATE_UNTRUSTED"],
      [rig.clientAuthority.issue({ names: gateway, ...expired }), "CERTIFICATE_EXPIRED"],
      [rig.clientAuthority.issueAuthority(expired).issue({ names: gateway }), "CERTIFICATE_EXPIRED"],
      [rig.clientAuthority.issue({ names: gateway, ...early }), "CERTIFICATE_NOT_YET_VALID"],
      [rig.clientAuthority.issue({ names: gateway, ...serverOnly }), "CERTIFICATE_UNSUITABLE"],
      // OpenSSL finds an extension that stands twice (RFC 5280, 4.2), and no issuer that could have meant it.
      [rig.clientAuthority.issue({ names: gateway, repeatsNames: true }), "CERTIFICATE_UNTRUSTED"],
      [rig.clientAuthority.issue({ names: [] }), "CERTIFICATE_WITHOUT_IDENTITY"],
    ] as const;
    for (const [client, fault] of strangers) {
      await using session = await openTlsSession(rig, client);
      expect(JSON.parse((await callHttp2(session, get)).body)).toEqual({ transport: "tls", fault, identity: null });
    }
    expect(await identitySeen(rig, rig.clientAuthority.issue({ names: gateway }))).toBe("spiffe://casapay/gateway");
  });

  it("does not let a leaf issue certificates", async () => {
    await using rig = await startTlsRig();
    const leaf = rig.clientAuthority.issue({ names: [{ uri: "spiffe://casapay/small" }] });
    const forged = forgeAuthority(leaf).issue({ names: gateway });
    expect(await identitySeen(rig, forged)).toBe(null);
  });

  it("verifies through intermediates that the peer sends", async () => {
    await using rig = await startTlsRig();
    const intermediate = rig.clientAuthority.issueAuthority();
    expect(await identitySeen(rig, intermediate.issue({ names: gateway }))).toBe("spiffe://casapay/gateway");
  });

  it.each<SecureVersion>(["TLSv1.2", "TLSv1.3"])(
    "resumes no session over %s: each connection is verified anew",
    async (version) => {
      await using rig = await startTlsRig();
      const client = rig.clientAuthority.issue({ names: gateway });
      const options = { ...clientOptions(rig, client), minVersion: version, maxVersion: version };
      const first = await openTls(rig, options);
      let session = version === "TLSv1.2" ? first.getSession() : undefined;
      first.on("session", (ticket) => {
        session = ticket;
      });
      first.write(request);
      await readToEnd(first);
      const second = await openTls(rig, { ...options, ...(session === undefined ? {} : { session }) });
      expect(second.isSessionReused()).toBe(false);
      second.destroy();
    },
  );

  it("cuts a handshake that does not come to its end, and the oldest of those over the maximum at once", async () => {
    await using rig = await startTlsRig({ limits: { handshakeMs: 1_000, maxHandshakes: 2 } });
    const silent = [await connectRaw(rig.http.port), await connectRaw(rig.http.port)];
    await eventually(() => rig.http.listener.counts().handshaking === 2);
    silent.push(await connectRaw(rig.http.port));
    const [oldest, ...younger] = silent.map((socket) => closed(socket.resume()));
    await oldest;
    expect(rig.http.listener.counts()).toMatchObject({ handshaking: 2, refused: 1 });
    await Promise.all(younger);
    await eventually(() => rig.http.listener.counts().open === 0);
    expect(await identitySeen(rig, null)).toBe(null);
  });

  it.each([
    ["plain HTTP/1.1", Buffer.from(request), "PLAINTEXT"],
    ["an HTTP/2 preface", Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "PLAINTEXT"],
    [
      "a hello of noise",
      Buffer.concat([Buffer.from("1603010200010001fc0303", "hex"), Buffer.alloc(512, 0x5a)]),
      "HANDSHAKE_FAILED",
    ],
    ["an alert", Buffer.from("15030300020228", "hex"), "HANDSHAKE_FAILED"],
    ["noise", Buffer.alloc(1_000, 0xa5), "NOT_TLS"],
  ])("survives %s in place of a handshake, and tells of it", async (_name, bytes, fault) => {
    await using rig = await startTlsRig();
    const socket = await connectRaw(rig.http.port);
    socket.resume();
    socket.end(bytes);
    await closed(socket);
    expect(await identitySeen(rig, null)).toBe(null);
    await eventually(() => rig.http.listener.counts().handshaking === 0);
    expect(rig.failures).toEqual([{ fault, address: "127.0.0.1" }]);
  });

  it("tells who speaks HTTP in plaintext that it should not, in HTTP/1.1 and in HTTP/2", async () => {
    await using rig = await startTlsRig();
    const port = rig.http.port;
    for (const method of ["GET", "POST", "CONNECT"]) {
      expect(await sendRaw(port, `${method} / HTTP/1.1\r\nHost: localhost\r\n\r\n`)).toMatch(
        /^HTTP\/1\.1 400 Bad Request\r\n[\s\S]*\r\n\r\nthis port speaks TLS\n$/,
      );
    }
    const session = connectHttp2(`http://localhost:${port}`);
    session.on("error", () => {});
    const [code, , debugData] = await once(session, "goaway");
    expect([code, String(debugData)]).toEqual([constants.NGHTTP2_INADEQUATE_SECURITY, "this port speaks TLS"]);
    session.destroy();
  });

  it("tells of a client that speaks an old TLS, has no cipher in common, or is slow; not of one that only looks", async () => {
    await using rig = await startTlsRig();
    const looking = await connectRaw(rig.http.port);
    looking.resetAndDestroy();
    await closed(looking);
    for (const options of [
      { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" },
      { maxVersion: "TLSv1.2", ciphers: "AES256-SHA" },
    ] as const) {
      await expect(openTls(rig, { ...clientOptions(rig, null), ...options })).rejects.toThrow();
    }
    expect(rig.failures.map(({ fault }) => fault)).toEqual(["TLS_VERSION", "TLS_CIPHER"]);
    await using hurried = await startTlsRig({ limits: { handshakeMs: 200 } });
    const slow = await connectRaw(hurried.http.port);
    slow.write(Buffer.from("16030100", "hex"));
    await closed(slow.resume());
    expect(hurried.failures.map(({ fault }) => fault)).toEqual(["HANDSHAKE_TIMEOUT"]);
  });

  it("tells of a client that does not trust the server's certificate, and where it is, though it has gone", async () => {
    await using rig = await startTlsRig();
    const hello = await captureHello(rig);
    const socket = await connectRaw(rig.http.port);
    const answer = once(socket, "data");
    socket.write(hello);
    await answer;
    // What curl sends: a fatal alert, unknown_ca (RFC 8446, 6.2).
    socket.end(Buffer.from("15030300020230", "hex"));
    await closed(socket.resume());
    await eventually(() => rig.failures.length > 0);
    expect(rig.failures).toEqual([{ fault: "SERVER_CERTIFICATE_REFUSED", address: "127.0.0.1" }]);
  });

  it("waits no longer for a client that leaves its handshake without a word, and tells of it", async () => {
    await using rig = await startTlsRig({ limits: { handshakeMs: 3_600_000 } });
    const hello = await captureHello(rig);
    const socket = await connectRaw(rig.http.port);
    const answer = once(socket, "data");
    socket.write(hello);
    await answer;
    socket.end();
    await closed(socket.resume());
    await eventually(() => rig.http.listener.counts().handshaking === 0);
    await eventually(() => rig.failures.length > 0);
    expect(rig.failures).toEqual([{ fault: "HANDSHAKE_FAILED", address: "127.0.0.1" }]);
  });

  it.each([
    ["ERR_SSL_TLSV1_ALERT_UNKNOWN_CA", "SERVER_CERTIFICATE_REFUSED"],
    ["ERR_SSL_SSL/TLS_ALERT_UNKNOWN_CA", "SERVER_CERTIFICATE_REFUSED"],
    ["ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED", "SERVER_CERTIFICATE_REFUSED"],
    ["ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE", "SERVER_CERTIFICATE_REFUSED"],
    ["ERR_SSL_WRONG_VERSION_NUMBER", "TLS_VERSION"],
    ["ERR_SSL_LENGTH_MISMATCH", "HANDSHAKE_FAILED"],
    ["", "HANDSHAKE_FAILED"],
    ["ECONNRESET", null],
  ])("takes a handshake that failed with %j for %s", (code, fault) => {
    expect(handshakeFaultOf(code)).toBe(fault);
  });

  it("survives a client that resets in the middle of its handshake, at any byte", async () => {
    await using rig = await startTlsRig();
    const hello = await captureHello(rig);
    for (let length = 1; length < hello.byteLength; length += 37) {
      const socket = await connectRaw(rig.http.port);
      socket.resume();
      await new Promise((resolve) => socket.write(hello.subarray(0, length), resolve));
      socket.resetAndDestroy();
    }
    expect(await identitySeen(rig, null)).toBe(null);
    await eventually(() => rig.http.listener.counts().handshaking === 0);
  });

  it("closes with calls under way ended, and cuts handshakes", async () => {
    await using rig = await startTlsRig();
    await using session = await openTlsSession(rig, null);
    await callHttp2(session, get);
    const silent = await connectRaw(rig.http.port);
    await eventually(() => rig.http.listener.counts().open === 2);
    await rig.http.listener.close(60_000);
    await closed(silent.resume());
  });

  it("is not served on a unix socket", async () => {
    await using rig = await startTlsRig();
    const { startRig } = await import("../http/http-rig.ts");
    await expect(startRig({ tls: rig.source, address: { path: "/tmp/never.sock" } })).rejects.toThrow("TCP");
  });
});

describe("an identity", () => {
  const hourMs = 3_600_000;
  const client = (rig: TlsRig) => rig.clientAuthority.issue({ names: gateway, validToMs: Date.now() + hourMs });

  it("ends with its certificate, on a connection that lives on", async () => {
    await using rig = await startTlsRig();
    await using session = await openTlsSession(rig, client(rig));
    expect((await callHttp2(session, get)).body).toContain("casapay/gateway");
    rig.setNow(Date.now() + 2 * hourMs);
    const { body } = await callHttp2(session, get);
    expect(JSON.parse(body)).toEqual({ transport: "tls", fault: "CERTIFICATE_EXPIRED", identity: null });
  });

  it("takes its connection along when it ends, though nobody asks and nothing is reloaded", async () => {
    await using rig = await startTlsRig({ limits: { peerSweepMs: 10 } });
    await using session = await openTlsSession(rig, client(rig));
    await using other = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    await callHttp2(session, get);
    const goaway = once(session, "goaway");
    rig.setNow(Date.now() + 2 * hourMs);
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    expect((await callHttp2(other, get)).body).toContain("casapay/gateway");
  });

  it("is taken away by a reload on both of two connections that one client port made", async () => {
    await using rig = await startTlsRig({ host: "0.0.0.0" });
    const first = await connectRaw(rig.http.port, { host: "127.0.0.1", localAddress: "127.0.0.1" });
    const from = { localAddress: "127.0.0.1", localPort: first.localPort ?? 0 };
    const second = await connectRaw(rig.http.port, { host: "127.0.0.2", ...from });
    await eventually(() => rig.http.listener.counts().handshaking === 2);
    const certificate = rig.clientAuthority.issue({ names: gateway });
    const sessions = [];
    for (const socket of [first, second]) {
      sessions.push(await openTlsSession(rig, certificate, socket));
    }
    for (const session of sessions) {
      expect((await callHttp2(session, get)).body).toContain("casapay/gateway");
    }
    const goaways = sessions.map((session) => once(session, "goaway"));
    writeFileSync(rig.paths.clientCa, createAuthority("another root").certificatePem);
    expect(rig.reload()).toBe(null);
    await Promise.all(goaways);
    await Promise.all([closed(first), closed(second)]);
  });
});

describe("a reload", () => {
  it("gives new connections the new certificate and leaves the others alone", async () => {
    await using rig = await startTlsRig();
    const client = rig.clientAuthority.issue({ names: gateway });
    await using before = await openTlsSession(rig, client);
    await callHttp2(before, get);
    const validToMs = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
    const renewed = rig.serverAuthority.issue({ commonName: "renewed", validToMs });
    writeFileSync(rig.paths.certificate, renewed.certificatePem);
    writeFileSync(rig.paths.key, renewed.keyPem);
    expect(rig.reload()).toBe(null);
    expect(rig.source.expiresAtMs()).toBe(validToMs);
    const socket = await openTls(rig, clientOptions(rig, client));
    expect(socket.getPeerCertificate().subject.CN).toMatch(/^renewed/);
    socket.destroy();
    expect((await callHttp2(before, get)).body).toContain("gateway");
  });

  it("ends gracefully the connections that the new client CAs did not issue, and no others", async () => {
    await using rig = await startTlsRig();
    const second = createAuthority("second client root");
    writeFileSync(rig.paths.clientCa, rig.clientAuthority.certificatePem + second.certificatePem);
    expect(rig.reload()).toBe(null);
    await using old = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    await using kept = await openTlsSession(rig, second.issueAuthority().issue({ names: gateway }));
    await using nobody = await openTlsSession(rig, null);
    for (const session of [old, kept, nobody]) {
      await callHttp2(session, get);
    }
    const goaway = once(old, "goaway");
    writeFileSync(rig.paths.clientCa, second.certificatePem);
    expect(rig.reload()).toBe(null);
    expect((await goaway)[0]).toBe(constants.NGHTTP2_NO_ERROR);
    await closed(old.socket);
    expect((await callHttp2(kept, get)).body).toContain("gateway");
    expect((await callHttp2(nobody, get)).body).toContain("null");
    expect(await identitySeen(rig, rig.clientAuthority.issue({ names: gateway }))).toBe(null);
  });

  it("makes those that it newly trusts come again", async () => {
    await using rig = await startTlsRig();
    const second = createAuthority("second client root");
    const client = second.issue({ names: gateway });
    await using early = await openTlsSession(rig, client);
    expect((await callHttp2(early, get)).body).toContain("null");
    const goaway = once(early, "goaway");
    writeFileSync(rig.paths.clientCa, second.certificatePem);
    expect(rig.reload()).toBe(null);
    await goaway;
    expect(await identitySeen(rig, client)).toBe("spiffe://casapay/gateway");
  });

  it("ends a connection whose certificate has expired since", async () => {
    await using rig = await startTlsRig();
    await using session = await openTlsSession(rig, rig.clientAuthority.issue({ names: gateway }));
    await callHttp2(session, get);
    const goaway = once(session, "goaway");
    rig.setNow(Date.now() + 2 * 86_400_000);
    expect(rig.reload()).toBe(null);
    await goaway;
  });

  it("does not trust a handshake that began before it, by a CA that is gone", async () => {
    await using rig = await startTlsRig();
    const client = rig.clientAuthority.issue({ names: gateway });
    // The server's context is chosen when the connection is accepted: it still has the old CA.
    const raw = createConnection({ host: "127.0.0.1", port: rig.http.port });
    await once(raw, "connect");
    await eventually(() => rig.http.listener.counts().handshaking === 1);
    writeFileSync(rig.paths.clientCa, createAuthority("another root").certificatePem);
    expect(rig.reload()).toBe(null);
    const socket = await openTls(rig, { ...clientOptions(rig, client), socket: raw, servername: "localhost" });
    socket.write(request);
    expect(await readToEnd(socket)).toMatch(/"identity":null\}$/);
  });

  it.each([
    ["a certificate that is cut", "certificate", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"],
    ["an empty certificate file", "certificate", ""],
    ["a key of another certificate", "key", createSelfSigned().keyPem],
    ["an empty client CA file", "clientCa", ""],
  ] as const)("keeps the whole old set over %s, and says which file is at fault", async (_name, file, text) => {
    await using rig = await startTlsRig();
    const client = rig.clientAuthority.issue({ names: gateway });
    await using session = await openTlsSession(rig, client);
    await callHttp2(session, get);
    writeFileSync(rig.paths[file], text);
    expect(rig.reload()?.message).toContain(rig.paths[file]);
    expect((await callHttp2(session, get)).status).toBe(200);
    expect(await identitySeen(rig, client)).toBe("spiffe://casapay/gateway");
  });
});

/** The first bytes that a TLS client sends. */
async function captureHello(rig: TlsRig): Promise<Buffer> {
  const { createServer } = await import("node:net");
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const { connect } = await import("node:tls");
  const client = connect({ ...clientOptions(rig, null), host: "127.0.0.1", port, servername: "localhost" });
  client.on("error", () => {});
  const [accepted] = await once(server, "connection");
  const [bytes] = await once(accepted, "data");
  client.destroy();
  accepted.destroy();
  server.close();
  return bytes;
}
