import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startEnvoy } from "../busy-clients/envoy.ts";
import { freePort, waitForPort } from "../support/ports.ts";
import type { Programs } from "./build.ts";

export type ProxyName = "nginx" | "haproxy" | "envoy";

type Running = AsyncDisposable & { readonly address: string };

/** Starts a proxy on a port of its own that hands gRPC on to `upstream`, HOST:PORT. */
export async function startProxy(
  proxy: ProxyName,
  programs: Programs,
  upstream: string,
  scratch: string,
): Promise<Running> {
  if (proxy === "envoy") {
    const [host = "", port = ""] = upstream.split(":");
    const envoy = await startEnvoy({
      program: programs.envoy,
      upstream: { host, port: Number(port), tls: null },
      directory: scratch,
      // A second try after 20 ms, beside the first: whoever answers first wins, and the other is reset.
      route: {
        retry_policy: { retry_on: "reset,unavailable", num_retries: 2, per_try_timeout: "0.02s" },
        hedge_policy: { hedge_on_per_try_timeout: true },
      },
    });
    return { address: `127.0.0.1:${envoy.port}`, [Symbol.asyncDispose]: () => envoy.stop() };
  }
  const port = await freePort();
  const directory = join(scratch, `${proxy}-${port}`);
  mkdirSync(directory);
  const file = join(directory, `${proxy}.conf`);
  writeFileSync(file, proxy === "nginx" ? nginxConf(directory, port, upstream) : haproxyConf(port, upstream));
  const args = proxy === "nginx" ? ["-p", directory, "-e", "stderr", "-c", file] : ["-db", "-f", file];
  const env = { PATH: `${programs.debian.path}:${process.env.PATH}`, LD_LIBRARY_PATH: programs.debian.libraryPath };
  const child = spawn(proxy, args, { env, stdio: ["ignore", "ignore", "inherit"] });
  const ended = once(child, "close");
  await waitForPort(port, () => child.exitCode === null);
  return {
    address: `127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function nginxConf(directory: string, port: number, upstream: string): string {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `
daemon off;
master_process off;
pid ${directory}/nginx.pid;
events { worker_connections 1024; }
http {
  access_log off;
  ${paths.map((name) => `${name}_temp_path ${directory}/${name};`).join("\n  ")}
  client_body_buffer_size 128k;
  upstream authority { server ${upstream}; keepalive 16; }
  server {
    listen 127.0.0.1:${port} http2;
    keepalive_requests 1000000;
    location / {
      grpc_pass grpc://authority;
      # The authority's plaintext takes names of its own machine only.
      grpc_set_header Host localhost;
      grpc_read_timeout 30s;
      grpc_send_timeout 30s;
    }
  }
}
`;
}

function haproxyConf(port: number, upstream: string): string {
  return `
global
  nbthread 1
defaults
  mode http
  timeout connect 10s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port} proto h2
  default_backend authority
backend authority
  server one ${upstream} proto h2
`;
}
