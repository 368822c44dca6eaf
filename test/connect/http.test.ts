import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { isForAnotherHost } from "../../src/wire/port/this-machine.ts";
import { ConnectRig, enveloped, errorOf, loopbackPeer, peerOf, protocols, tlsPeer, unixPeer } from "./connect-rig.ts";
import { rawCall, rawError } from "./raw-call.ts";

const key = mintKey("secret", true);
const listPath = "/casapay.token.v1.TokenService/List";
const local = loopbackPeer;

let rig: ConnectRig;
beforeAll(async () => {
  rig = await ConnectRig.start();
  rig.roles.set("local", "operator");
});
afterAll(() => rig[Symbol.asyncDispose]());

describe("a path that is no RPC", () => {
  const paths = [
    "/",
    "",
    "/favicon.ico",
    `/${key}`,
    "/casapay.token.v1.TokenService",
    "/casapay.token.v1.TokenService/list",
    `${listPath}/`,
    `/${listPath}`,
    "/a/..//casapay.token.v1.TokenService/List",
    "/a/../casapay.token.v1.TokenService/List",
    "/casapay.token.v1.TokenService/L%69st",
    "/__proto__",
    "/constructor",
  ];

  it.each(paths)("is a short 404 over plain HTTP: %s", async (path) => {
    for (const method of ["GET", "POST", "HEAD", "PUT", "OPTIONS"]) {
      const response = await rig.send({ path, method, header: { "content-type": "application/json" } });
      expect(response.status).toBe(404);
      expect(response.text).toBe("not found\n");
    }
  });

  it.each(paths)("is UNIMPLEMENTED without a body over gRPC and gRPC-Web: %s", async (path) => {
    for (const contentType of ["application/grpc", "application/grpc+proto", "application/grpc+json"]) {
      const response = await rig.send({ path, header: { "content-type": contentType } });
      expect(response.status).toBe(200);
      expect(response.header.get("content-type")).toBe("application/grpc");
      expect(response.header.get("grpc-status")).toBe("12");
      expect(response.body).toHaveLength(0);
    }
    const web = await rig.send({ path, header: { "content-type": "application/grpc-web+proto" } });
    expect([web.status, web.header.get("content-type"), web.header.get("grpc-status")]).toEqual([
      200,
      "application/grpc-web",
      "12",
    ]);
  });

  it("is UNIMPLEMENTED for Connect's own clients", async () => {
    const stranger = { ...TokenService.method.get, name: "Export" };
    for (const protocol of protocols) {
      const call = rig.transport(peerOf("operator"), protocol).unary(stranger, undefined, undefined, undefined, {});
      expect(errorOf(await call.catch((error: unknown) => error)).code).toBe("Unimplemented");
    }
  });

  it("is no call", () => {
    expect(rig.calls).toEqual([]);
  });
});

describe("an RPC", () => {
  it("is never called with GET: a key must not travel in a URL", async () => {
    const message = encodeURIComponent(JSON.stringify({ key }));
    for (const { name } of TokenService.methods) {
      const path = `/casapay.token.v1.TokenService/${name}?connect=v1&encoding=json&message=${message}`;
      for (const method of ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"]) {
        const response = await rig.send({ path, method });
        expect(response.status).toBe(405);
        expect(response.header.get("allow")).toBe("POST");
        expect(response.text).toBe("method not allowed\n");
      }
    }
  });

  it("is called in no content type but those of the three protocols", async () => {
    for (const contentType of [
      "text/plain",
      "application/x-www-form-urlencoded",
      "application/grpc-web-text",
      "application/connect+json",
      "application/grpcx",
      key,
    ]) {
      const bodyReads = rig.bodyReads;
      const response = await rig.send({ path: listPath, header: { "content-type": contentType }, body: "{}" });
      expect(response.status).toBe(415);
      expect(response.text).toBe("unsupported media type\n");
      expect(rig.bodyReads).toBe(bodyReads);
    }
    expect((await rig.send({ path: listPath, body: "{}" })).status).toBe(415);
  });

  it("is called in JSON whose charset is quoted, and in no encoding, however that is written", async () => {
    for (const header of [
      { "content-type": 'application/json; charset="UTF-8"' },
      { "content-type": "Application/JSON ;charset=utf8; x=y" },
      { "content-type": "application/json", "content-encoding": "identity" },
      { "content-type": "application/proto; charset=utf-8", "content-encoding": "Identity" },
    ]) {
      const body = header["content-type"].includes("proto") ? new Uint8Array(0) : "{}";
      expect((await rig.send({ path: listPath, header, body })).status, JSON.stringify(header)).toBe(200);
    }
    const latin1 = { "content-type": "application/json; charset=latin1" };
    expect((await rig.send({ path: listPath, header: latin1, body: "{}" })).status).toBe(415);
  });

  it("may have a query, which is ignored", async () => {
    const response = await rig.send({
      ...rawCall("connect", "json", `${listPath}?a=b`, "{}"),
      peer: local,
      origin: "http://localhost",
    });
    expect(response.status).toBe(200);
  });
});

describe("a plaintext request over TCP", () => {
  const strangers = [
    "http://evil.example",
    "http://localhost.evil.example",
    "http://127.0.0.1.nip.io",
    "http://192.168.0.1:50051",
    "http://[::2]",
    "http://localhost.",
    "http://0.0.0.0",
    "http://[::ffff:10.0.0.1]",
    "http://128.0.0.1",
  ];
  const locals = [
    "http://localhost",
    "http://LOCALHOST:50051",
    "http://127.0.0.1:50051",
    "http://127.1.2.3",
    "http://[::1]:50051",
    "http://[::ffff:127.0.0.1]:50051",
  ];

  it.each(strangers)("for another host is refused before it is read: %s", async (origin) => {
    for (const protocol of protocols) {
      const bodyReads = rig.bodyReads;
      const response = await rig.send({ ...rawCall(protocol, "json", listPath, "{}"), origin, peer: local });
      expect(errorOf(rawError(protocol, response))).toMatchObject({
        code: "PermissionDenied",
        reason: "HOST_NOT_LOCAL",
      });
      expect(rig.bodyReads).toBe(bodyReads);
      expect(rig.calls.at(-1)).toMatchObject({ code: "PERMISSION_DENIED", reason: "HOST_NOT_LOCAL" });
    }
    expect((await rig.send({ path: "/", method: "GET", origin, peer: local })).status).toBe(403);
    const grpc = await rig.send({ path: "/", origin, peer: local, header: { "content-type": "application/grpc" } });
    expect(grpc.header.get("grpc-status")).toBe("7");
  });

  it.each(locals)("for this host is answered: %s", async (origin) => {
    expect(isForAnotherHost({ peer: local, url: `${origin}/` })).toBe(false);
    const response = await rig.send({ ...rawCall("connect", "json", listPath, "{}"), origin, peer: local });
    expect(response.status).toBe(200);
  });

  it("is the only one whose host counts", async () => {
    for (const peer of [unixPeer, tlsPeer("local")]) {
      const response = await rig.send({
        ...rawCall("connect", "json", listPath, "{}"),
        origin: "http://evil.example",
        peer,
      });
      expect(response.status).toBe(200);
    }
  });
});

it("repeats nothing of a path, a header or metadata that holds a key", async () => {
  const names = [
    "user-agent",
    "x-metadata",
    "authorization",
    "accept",
    "accept-encoding",
    "grpc-accept-encoding",
    "te",
    "origin",
    "grpc-encoding",
    "content-encoding",
    "connect-protocol-version",
    "grpc-timeout",
    "connect-timeout-ms",
    "content-length",
    "connect-content-encoding",
    "grpc-message",
    "grpc-status",
    "x-user-agent",
    "trailer-x",
  ];
  for (const protocol of protocols) {
    for (const name of names) {
      await rig.send(rawCall(protocol, "json", listPath, "{}", { [name]: key }));
      await rig.send(rawCall(protocol, "json", `${listPath}?${key}=${key}`, "{", { [name]: `${key}, gzip` }));
      await rig.send(rawCall(protocol, "json", `/${key}/${key}`, "{}", { [name]: key }));
    }
    await rig.send({
      path: listPath,
      header: { "content-type": `application/${protocol}+${key}` },
      body: enveloped(Buffer.from("{}")),
    });
  }
  const seen = [...rig.answered, JSON.stringify(rig.calls), JSON.stringify(rig.logged)].join("\n");
  expect(seen.includes(key)).toBe(false);
  expect(seen.includes(key.toLowerCase())).toBe(false);
  expect(rig.logged).toEqual([]);
});

describe("a content type of gRPC with parameters", () => {
  it.each([
    "application/grpc;charset=utf-8",
    "application/grpc+proto; charset=utf-8",
    "application/grpc+json ;charset=utf-8",
    "Application/GRPC;v=1",
    "application/grpc-web+proto;charset=utf-8",
    "application/grpc-web;x=y",
  ])("is that content type: %s", async (contentType) => {
    const message = contentType.includes("json") ? "{}" : "";
    const body = enveloped(Buffer.from(message));
    const response = await rig.send({ path: listPath, header: { "content-type": contentType }, body, peer: local });
    expect([response.status, response.header.get("content-type")?.startsWith("application/grpc")]).toEqual([200, true]);
  });

  it.each(["application/grpcx;charset=utf-8", "application/grpc+xml;charset=utf-8"])(
    "is none: %s",
    async (contentType) => {
      const response = await rig.send({ path: listPath, header: { "content-type": contentType }, peer: local });
      expect(response.status).toBe(415);
    },
  );
});
