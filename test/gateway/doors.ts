import { request } from "node:http";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status as StatusCode } from "@grpc/grpc-js";
import { CheckRequestSchema, CheckResponseSchema } from "#gen/envoy/service/auth/v3/external_auth_pb.ts";

/** What a client sends, and what the route of the gateway says. */
export type Asked = {
  readonly words: readonly (readonly [name: string, value: string])[];
  readonly headers: Readonly<Record<string, string>>;
};

/** What the gateway makes of it. */
export type Answer = {
  /** What the client sees: 200 stands for the upstream's answer. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The code of the error, or of the gRPC error; null when accepted. */
  readonly code: string | null;
  readonly body: string;
};

export type Door = { readonly name: string; ask(address: string, asked: Asked): Promise<Answer> };

/** Envoy: over grpc-js, with protobuf-es for the messages. */
export const envoyDoor: Door = {
  name: "Envoy's Check",
  ask: (address, { words, headers }) =>
    check(address, {
      attributes: {
        contextExtensions: Object.fromEntries(words),
        request: { http: { method: "GET", headers: { ":path": "/v1/x", "user-agent": "curl/8", ...headers } } },
      },
    }),
};

/** Asks with the whole message, and with this metadata. A gRPC error is a 503, as the example has it. */
export async function check(
  address: string,
  init: MessageInitShape<typeof CheckRequestSchema>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  const { promise, resolve } = Promise.withResolvers<Answer>();
  client.makeUnaryRequest(
    "/envoy.service.auth.v3.Authorization/Check",
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes) => fromBinary(CheckResponseSchema, bytes),
    toBinary(CheckRequestSchema, create(CheckRequestSchema, init)),
    Metadata.fromHttp2Headers(metadata),
    { deadline: Date.now() + 10_000 },
    (error, response) => resolve(error !== null ? ofError(error) : answerOf(response)),
  );
  try {
    return await promise;
  } finally {
    client.close();
  }
}

function ofError({ code, details }: ServiceError): Answer {
  return { status: 503, headers: {}, code: StatusCode[code] ?? "", body: details };
}

function answerOf(response: ReturnType<typeof fromBinary<typeof CheckResponseSchema>> | undefined): Answer {
  const outcome = response?.httpResponse;
  switch (outcome?.case) {
    case "okResponse":
      return { status: 200, headers: fieldsOf(outcome.value.headers), code: null, body: "" };
    case "deniedResponse": {
      const { status, headers, body } = outcome.value;
      return { status: status?.code ?? 0, headers: fieldsOf(headers), code: JSON.parse(body).error.code, body };
    }
    default:
      throw new Error("neither accepted nor denied");
  }
}

function fieldsOf(
  options: readonly { readonly header?: { readonly key: string; readonly value: string } | undefined }[],
) {
  return Object.fromEntries(options.map(({ header }) => [header?.key ?? "", header?.value ?? ""]));
}

/** nginx, Caddy, Traefik and HAProxy: over HTTP/1.1. */
export const forwardAuthDoor: Door = {
  name: "forward authentication",
  ask: (address, { words, headers }) =>
    authorize(address, `?${new URLSearchParams(words.map(([name, value]) => [name, value]))}`, headers),
};

/** Asks with the query as it stands. */
export async function authorize(
  address: string,
  query: string,
  headers: Readonly<Record<string, string | readonly string[]>>,
  method = "GET",
  body = "",
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const asking = request(`http://${address}/authorize${query}`, {
    method,
    headers: { ...headers } as Record<string, string>,
    agent: false,
  });
  asking.on("error", reject);
  asking.on("response", (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk) => {
      text += chunk;
    });
    response.on("end", () =>
      resolve({
        status: response.statusCode ?? 0,
        headers: response.headers as Record<string, string>,
        code: text === "" ? null : JSON.parse(text).error.code,
        body: text,
      }),
    );
  });
  asking.end(body);
  return promise;
}
