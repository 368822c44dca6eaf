import { join } from "node:path";
import type { Programs } from "./build.ts";
import type { ProxyName } from "./proxies.ts";

export type Row = {
  readonly name: string;
  /** gRPC, or Connect's protocol over HTTP. */
  readonly protocol: "grpc" | "http";
  /** The program and its arguments, to which the order's file is added. */
  readonly command: (programs: Programs) => readonly [string, ...string[]];
  /** What stands between the client and the authority. */
  readonly proxy: ProxyName | null;
  /** Whose fault it is, and why, where calls fail: the same is then shown against Go. */
  readonly clientFault?: string;
};

const go = (stack: string) => (programs: Programs) => [programs.go, "-stack", stack, "-order"] as const;
const java = (stack: string) => (programs: Programs) =>
  ["java", "-Xmx512m", "-cp", programs.javaClasspath, "zoo.Main", stack] as const;
const python = (stack: string) => (programs: Programs) =>
  [programs.python, join(import.meta.dirname, "python", "main.py"), stack] as const;
const node = (stack: string) => (programs: Programs) => [process.execPath, programs.node, stack] as const;
const rust = (stack: string) => (programs: Programs) => [programs.rust, stack] as const;

/** Every client that is tried, in the order of the table. */
export const rows: readonly Row[] = [
  { name: "grpc-java", protocol: "grpc", command: java("grpc-java"), proxy: null },
  { name: "okhttp", protocol: "http", command: java("okhttp"), proxy: null },
  {
    name: "jdk-httpclient",
    protocol: "http",
    command: java("jdk"),
    proxy: null,
    clientFault:
      "Beside calls that are cancelled or expire, others that take a connection of its pool end with “header parser received no bytes”.",
  },
  { name: "jetty", protocol: "http", command: java("jetty"), proxy: null },
  { name: "tonic", protocol: "grpc", command: rust("tonic"), proxy: null },
  { name: "reqwest", protocol: "http", command: rust("reqwest"), proxy: null },
  { name: "grpc-go", protocol: "grpc", command: go("grpc-go"), proxy: null },
  { name: "connect-go", protocol: "http", command: go("connect-go"), proxy: null },
  { name: "connect-go-grpc", protocol: "grpc", command: go("connect-go-grpc"), proxy: null },
  { name: "net-http2", protocol: "grpc", command: go("net-http2"), proxy: null },
  { name: "grpcio", protocol: "grpc", command: python("grpcio"), proxy: null },
  { name: "grpcio-aio", protocol: "grpc", command: python("grpcio-aio"), proxy: null },
  { name: "grpclib", protocol: "grpc", command: python("grpclib"), proxy: null },
  {
    name: "httpx",
    protocol: "http",
    command: python("httpx"),
    proxy: null,
    clientFault:
      "httpcore lets one of a connection's calls read for all: when the deadline of that one passes, or it is cancelled, others fail with it.",
  },
  { name: "grpc-js", protocol: "grpc", command: node("grpc-js"), proxy: null },
  { name: "nice-grpc", protocol: "grpc", command: node("nice-grpc"), proxy: null },
  { name: "undici-h1", protocol: "http", command: node("undici-h1"), proxy: null },
  { name: "undici-h2", protocol: "http", command: node("undici-h2"), proxy: null },
  { name: "node-http2", protocol: "grpc", command: node("node-http2"), proxy: null },
  { name: "nginx-grpc-pass", protocol: "grpc", command: go("grpc-go"), proxy: "nginx" },
  {
    name: "haproxy",
    protocol: "grpc",
    command: go("grpc-go"),
    proxy: "haproxy",
    clientFault:
      "HAProxy 2.6 sends RST_STREAM on stream 0 for a call that is cancelled before it has a stream: the server must end that connection (RFC 9113, 6.4), and the other calls of it with it.",
  },
  {
    name: "envoy-retries-hedging",
    protocol: "grpc",
    command: go("grpc-go"),
    proxy: "envoy",
    clientFault:
      "Envoy ends its own clients' connections with GOAWAY INTERNAL_ERROR when much is cancelled while the upstream stands still.",
  },
];
