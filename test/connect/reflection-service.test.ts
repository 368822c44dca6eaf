import { create, createFileRegistry, fromBinary, type MessageInitShape, type Registry } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { createAsyncIterable } from "@connectrpc/connect/protocol";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { ServerReflection, type ServerReflectionRequestSchema } from "#gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "#gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { mintKey } from "../../src/authority/key.ts";
import { ConnectRig, errorOf, protocols, tlsPeer } from "./connect-rig.ts";

type Question = Exclude<MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"], undefined>;

const stranger = tlsPeer("spiffe://casapay/someone");

let rig: ConnectRig;
beforeAll(async () => {
  rig = await ConnectRig.start();
});
afterAll(() => rig[Symbol.asyncDispose]());

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", ServerReflectionAlpha],
] as const)("reflection %s", (_, service) => {
  async function ask(...questions: Question[]) {
    const answers = [];
    const requests = createAsyncIterable(questions.map((messageRequest) => ({ messageRequest })));
    const client = rig.client(service as typeof ServerReflection, stranger);
    for await (const { messageResponse } of client.serverReflectionInfo(requests)) {
      answers.push(messageResponse);
    }
    return answers;
  }

  async function files(question: Question): Promise<FileDescriptorProto[]> {
    const [answer] = await ask(question);
    if (answer?.case !== "fileDescriptorResponse") {
      throw new Error(`no files but ${answer?.case}`);
    }
    return answer.value.fileDescriptorProto.map((file) => fromBinary(FileDescriptorProtoSchema, file));
  }

  it.each(["text/plain", "application/grpc", "application/json"])(
    "answers 505 over HTTP/1.1, which cannot carry it, whatever the content type: %s",
    async (contentType) => {
      const path = `/${service.typeName}/ServerReflectionInfo`;
      const header = { "content-type": contentType };
      expect(await rig.send({ path, header, peer: stranger, httpVersion: "1.1" })).toMatchObject({ status: 505 });
    },
  );

  it("lists the services", async () => {
    const [answer] = await ask({ case: "listServices", value: "*" });
    expect(answer).toMatchObject({
      case: "listServicesResponse",
      value: {
        service: [
          { name: "casapay.token.v1.TokenService" },
          { name: "envoy.service.auth.v3.Authorization" },
          { name: "grpc.health.v1.Health" },
          { name: "grpc.reflection.v1.ServerReflection" },
          { name: "grpc.reflection.v1alpha.ServerReflection" },
        ],
      },
    });
  });

  it.each([
    ["casapay.token.v1.TokenService", "casapay/token/v1/token_service.proto"],
    ["casapay.token.v1.TokenService.Create", "casapay/token/v1/token_service.proto"],
    ["casapay.token.v1.CreateRequest", "casapay/token/v1/token_service.proto"],
    ["casapay.token.v1.CreateRequest.expire_time", "casapay/token/v1/token_service.proto"],
    ["casapay.token.v1.AuthenticateResponse.outcome", "casapay/token/v1/token_service.proto"],
    ["casapay.token.v1.TokenType", "casapay/token/v1/token.proto"],
    ["casapay.token.v1.TOKEN_TYPE_SECRET", "casapay/token/v1/token.proto"],
    ["google.protobuf.Timestamp", "google/protobuf/timestamp.proto"],
    ["google.rpc.ErrorInfo", "google/rpc/error_details.proto"],
    ["grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto"],
    ["grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto"],
  ])("finds the file of %s, with all that it imports", async (symbol, path) => {
    const found = await files({ case: "fileContainingSymbol", value: symbol });
    expect(found[0]?.name).toBe(path);
    expect(await files({ case: "fileByFilename", value: path })).toEqual(found);
    // A registry cannot be made unless every import is there.
    const registry: Registry = createFileRegistry(create(FileDescriptorSetSchema, { file: found.toReversed() }));
    expect([...registry].length).toBeGreaterThan(0);
  });

  it("gives clients descriptors that say what the contract says", async () => {
    const found = await files({ case: "fileContainingSymbol", value: "casapay.token.v1.TokenService" });
    expect(found.map((file) => file.name)).toEqual([
      "casapay/token/v1/token_service.proto",
      "casapay/token/v1/token.proto",
      "google/protobuf/duration.proto",
      "google/protobuf/timestamp.proto",
    ]);
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: found.toReversed() }));
    const described = registry.getService("casapay.token.v1.TokenService");
    expect(described?.methods.map(({ name, idempotency }) => [name, idempotency])).toEqual([
      ["Create", 0],
      ["Get", 2],
      ["List", 2],
      ["Revoke", 2],
      ["RevokeTokens", 2],
      ["RotateKey", 0],
      ["EndRotation", 2],
      ["SetHold", 2],
      ["CloseAccount", 2],
      ["FindByDigest", 2],
      ["ListChanges", 2],
      ["ListAccounts", 2],
      ["Authenticate", 2],
      ["Watch", 2],
    ]);
    expect(registry.getMessage("casapay.token.v1.CreateRequest")?.field.requestId?.jsonName).toBe("requestId");
  });

  it("answers what is not there without repeating it, and goes on", async () => {
    const key = mintKey("secret", true);
    const answers = await ask(
      { case: "fileContainingSymbol", value: key },
      { case: "fileByFilename", value: key },
      { case: "allExtensionNumbersOfType", value: key },
      {
        case: "fileContainingExtension",
        value: { $typeName: "grpc.reflection.v1.ExtensionRequest", containingType: key, extensionNumber: 1 },
      },
      { case: "allExtensionNumbersOfType", value: "casapay.token.v1.Token" },
      { case: undefined },
    );
    expect(answers.map((answer) => (answer.case === "errorResponse" ? answer.value.errorCode : answer.case))).toEqual([
      5,
      5,
      5,
      5,
      "allExtensionNumbersResponse",
      3,
    ]);
    expect(JSON.stringify(rig.answered)).not.toContain(key);
  });
});

it("answers a bounded number of questions on a stream", async () => {
  const client = rig.client(ServerReflection, stranger);
  let answers = 0;
  const questions = Array.from({ length: 1001 }, () => ({
    messageRequest: { case: "listServices", value: "" } as const,
  }));
  try {
    for await (const _ of client.serverReflectionInfo(createAsyncIterable(questions))) {
      answers += 1;
    }
  } catch (error) {
    expect(errorOf(error)).toMatchObject({ code: "ResourceExhausted", reason: "TOO_MANY_REQUESTS" });
  }
  expect(answers).toBe(1000);
});

it.each(protocols)("words what cannot be decoded in the middle of a stream, over %s", async (protocol) => {
  const key = mintKey("secret", true);
  const type = protocol === "connect" ? "application/connect+json" : `application/${protocol}+json`;
  const message = (text: string) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.from([0, 0, 0, 0, bytes.length]), bytes]);
  };
  const response = await rig.send({
    path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    header: { "content-type": type },
    peer: stranger,
    body: Buffer.concat([message('{"listServices": ""}'), message(`{"listServices": ["${key}"]}`)]),
  });
  expect(response.text).toContain("casapay.token.v1.TokenService");
  expect(rig.calls.at(-1)).toMatchObject({ code: "INVALID_ARGUMENT", reason: "REQUEST_MALFORMED" });
  expect(JSON.stringify(rig.answered)).not.toContain(key);
});

it("ends a stream without a question after ten seconds, and not one that goes on to ask", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const questions = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    async function* asking() {
      for (const { promise } of questions) {
        await promise;
        yield { messageRequest: { case: "listServices", value: "" } as const };
      }
      await new Promise(() => {});
    }
    const stream = rig.client(ServerReflection, stranger).serverReflectionInfo(asking())[Symbol.asyncIterator]();
    for (const { resolve } of questions) {
      const answer = stream.next();
      await vi.advanceTimersByTimeAsync(9999);
      resolve();
      expect((await answer).done).toBe(false);
    }
    const end = stream.next();
    await vi.advanceTimersByTimeAsync(10_000);
    expect((await end).done).toBe(true);
    expect(rig.calls.at(-1)).toMatchObject({ code: "OK" });
  } finally {
    vi.useRealTimers();
  }
});

it("ends its streams at shutdown", async () => {
  await using stopping = await ConnectRig.start();
  async function* asking() {
    yield { messageRequest: { case: "listServices", value: "" } as const };
    await new Promise(() => {});
  }
  const stream = stopping.client(ServerReflection, stranger).serverReflectionInfo(asking())[Symbol.asyncIterator]();
  expect((await stream.next()).done).toBe(false);
  stopping.shutdown.abort();
  expect((await stream.next()).done).toBe(true);
  expect(stopping.calls).toMatchObject([{ code: "OK" }]);
});
