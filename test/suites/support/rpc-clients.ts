import { mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { type DescMethodUnary, fromJson, type JsonObject, toJson } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
  Http2SessionManager,
} from "@connectrpc/connect-node";
import { credentials, status } from "@grpc/grpc-js";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { type Finished, runProgram } from "./run-program.ts";
import { createTokenClient, type TokenClient } from "./token-client.ts";

const service = TokenService.typeName;
const protoRoot = resolve(import.meta.dirname, "../../../proto");
const callTimeoutMs = 15_000;
/** With its start, on a busy machine. */
const programTimeoutMs = 60_000;

export type RpcName =
  | "Create"
  | "Get"
  | "List"
  | "Revoke"
  | "FindByDigest"
  | "ListChanges"
  | "ListAccounts"
  | "Authenticate";

/** What came of a call: the answer as protobuf JSON, or the name of the status that refused it. */
export type RpcAnswer = { readonly ok: JsonObject } | { readonly code: string };

/** A client that nobody here wrote, behind one function. Rejects when there was neither an answer nor a status. */
export type RpcClient = {
  readonly name: string;
  call(rpc: RpcName, request: JsonObject): Promise<RpcAnswer>;
};

/**
 * What a client needs to know of a server. The host is a name: grpc-js on Node 26 cannot dial an IP address over TLS.
 */
export type RpcTarget = {
  readonly host: string;
  readonly port: number;
  /** PEM files; null means plaintext. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | null;
};

export function createGrpcurl(program: string, target: RpcTarget): RpcClient {
  return {
    name: "grpcurl",
    async call(rpc, request) {
      const args = [...grpcurlFlags(target), "-d", JSON.stringify(request), addressOf(target), `${service}/${rpc}`];
      const { exitCode, stdout, stderr } = await run(program, args);
      if (exitCode === 0) {
        return { ok: parse(stdout) };
      }
      // grpcurl exits with 64 and the status code added.
      const code = status[exitCode - 64];
      if (code === undefined) {
        throw new Error(`grpcurl exited with ${exitCode}: ${stderr}`);
      }
      return { code };
    },
  };
}

export function grpcurlFlags({ tls }: RpcTarget): readonly string[] {
  return tls === null ? ["-plaintext"] : ["-cacert", tls.ca, "-cert", tls.cert, "-key", tls.key];
}

/** Connect's JSON by curl. */
export function createCurl(http: "1.1" | "2", target: RpcTarget): RpcClient {
  return {
    name: `curl, HTTP/${http}`,
    async call(rpc, request) {
      const url = `${target.tls === null ? "http" : "https"}://${addressOf(target)}/${service}/${rpc}`;
      const { exitCode, stdout, stderr } = await run("curl", [
        "--silent",
        "--show-error",
        ...curlFlags(http, target),
        ...["--header", "content-type: application/json", "--data", JSON.stringify(request)],
        ...["--write-out", "\n%{http_version} %{http_code}", url],
      ]);
      if (exitCode !== 0) {
        throw new Error(`curl exited with ${exitCode}: ${stderr}`);
      }
      const [body = "", trailer = ""] = stdout.split(/\n(?=[^\n]*$)/);
      const [version, httpStatus] = trailer.split(" ");
      if (version !== http) {
        throw new Error(`spoke HTTP/${version} instead of HTTP/${http}`);
      }
      return httpStatus === "200" ? { ok: parse(body) } : { code: String(parse(body).code).toUpperCase() };
    },
  };
}

function curlFlags(http: "1.1" | "2", { tls }: RpcTarget): readonly string[] {
  const version = { "1.1": "--http1.1", "2": tls === null ? "--http2-prior-knowledge" : "--http2" }[http];
  return tls === null ? [version] : [version, "--cacert", tls.ca, "--cert", tls.cert, "--key", tls.key];
}

export function createGrpcJs(target: RpcTarget): RpcClient {
  return {
    name: "@grpc/grpc-js",
    async call(rpc, request) {
      using client = tokenClientOf(target);
      const method = methodOf(rpc);
      try {
        const answer = await client.call(method, fromJson(method.input, request));
        return { ok: toJson(method.output, answer) as JsonObject };
      } catch (error) {
        const code = error instanceof Error && "code" in error ? status[Number(error.code)] : undefined;
        if (code === undefined) {
          throw error;
        }
        return { code };
      }
    },
  };
}

/** A client that keeps its connection. */
export function tokenClientOf(target: RpcTarget): TokenClient {
  const { tls } = target;
  return createTokenClient(
    addressOf(target),
    tls === null
      ? credentials.createInsecure()
      : credentials.createSsl(readFileSync(tls.ca), readFileSync(tls.key), readFileSync(tls.cert)),
  );
}

const connectTransports = {
  gRPC: createGrpcTransport,
  "gRPC-Web": createGrpcWebTransport,
  Connect: createConnectTransport,
};

/** connect-node over HTTP/2, in any of its protocols. */
export function createConnectNode(protocol: keyof typeof connectTransports, target: RpcTarget): RpcClient {
  const { tls } = target;
  return {
    name: `connect-node, ${protocol}`,
    async call(rpc, request) {
      const baseUrl = `${tls === null ? "http" : "https"}://${addressOf(target)}`;
      const files =
        tls === null ? {} : { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) };
      const sessionManager = new Http2SessionManager(baseUrl, {}, files);
      const transport = connectTransports[protocol]({ baseUrl, httpVersion: "2", sessionManager });
      const method = methodOf(rpc);
      try {
        const input = fromJson(method.input, request);
        const { message } = await transport.unary(method, undefined, callTimeoutMs, undefined, input);
        return { ok: toJson(method.output, message) as JsonObject };
      } catch (error) {
        const code = error instanceof ConnectError ? status[error.code] : undefined;
        if (code === undefined) {
          throw error;
        }
        return { code };
      } finally {
        sessionManager.abort();
      }
    },
  };
}

export type Grpcio = { readonly interpreter: string; readonly stubs: string };

/** Generates Python's stubs from our proto files. */
export async function prepareGrpcio(interpreter: string, directory: string): Promise<Grpcio> {
  const stubs = join(directory, "stubs");
  mkdirSync(stubs);
  const files = ["token", "token_service"].map((name) => `casapay/token/v1/${name}.proto`);
  const outputs = [`--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
  const { exitCode, stderr } = await run(interpreter, [
    "-m",
    "grpc_tools.protoc",
    `-I${protoRoot}`,
    ...outputs,
    ...files,
  ]);
  if (exitCode !== 0) {
    throw new Error(`grpc_tools.protoc: ${stderr}`);
  }
  return { interpreter, stubs };
}

export function createGrpcio(grpcio: Grpcio, target: RpcTarget): RpcClient {
  return {
    name: "grpcio",
    call(rpc, request) {
      return runGrpcio(grpcio, target, rpc, request);
    },
  };
}

/** The names of the services, by reflection v1alpha. */
export function reflectWithGrpcio(grpcio: Grpcio, target: RpcTarget): Promise<RpcAnswer> {
  return runGrpcio(grpcio, target, "reflect", {});
}

async function runGrpcio(grpcio: Grpcio, target: RpcTarget, rpc: string, request: JsonObject): Promise<RpcAnswer> {
  const script = join(import.meta.dirname, "grpcio_client.py");
  const { tls } = target;
  const files = tls === null ? [] : [tls.ca, tls.cert, tls.key];
  const args = [script, grpcio.stubs, addressOf(target), rpc, JSON.stringify(request), ...files];
  const { stdout, stderr } = await run(grpcio.interpreter, args);
  const answer = stdout === "" ? null : parse(stdout);
  if (typeof answer?.code === "string") {
    return { code: answer.code };
  }
  if (answer === null || typeof answer.ok !== "object") {
    throw new Error(`grpcio: ${stdout}${stderr}`);
  }
  return { ok: answer.ok as JsonObject };
}

function methodOf(rpc: RpcName): DescMethodUnary {
  const method = Object.values(TokenService.method).find(({ name }) => name === rpc);
  if (method?.methodKind !== "unary") {
    throw new Error(`no method ${rpc}`);
  }
  return method;
}

export function addressOf({ host, port }: RpcTarget): string {
  return `${host}:${port}`;
}

function run(program: string, args: readonly string[]): Promise<Finished> {
  return runProgram(program, args, { timeoutMs: programTimeoutMs });
}

function parse(text: string): JsonObject {
  return JSON.parse(text) as JsonObject;
}
