import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, waitForPort } from "../support/ports.ts";
import type { RpcTarget } from "../support/rpc-clients.ts";

const types = "type.googleapis.com/envoy.extensions";
const managerType = `${types}.filters.network.http_connection_manager.v3.HttpConnectionManager`;

/** An Envoy that hands on to one upstream, over HTTP/2 on both sides, what comes to a port of 127.0.0.1. */
export type Envoy = AsyncDisposable & {
  readonly port: number;
  /** What it printed. */
  output(): string;
  stop(): Promise<void>;
};

export type EnvoyOptions = {
  readonly program: string;
  readonly upstream: RpcTarget;
  /** Where its configuration may lie. */
  readonly directory: string;
  /** How long it uses a connection to the upstream. Default: without end. */
  readonly maxUpstreamConnectionSeconds?: number;
  /** More of its only route, as Envoy's RouteAction has it. */
  readonly route?: object;
};

export async function startEnvoy(options: EnvoyOptions): Promise<Envoy> {
  const port = await freePort();
  const configuration = join(options.directory, `envoy-${port}.json`);
  writeFileSync(configuration, JSON.stringify(configurationOf(port, options)));
  const flags = [
    "--use-dynamic-base-id",
    "--disable-hot-restart",
    "--concurrency",
    "1",
    "--log-level",
    "warn",
    "--component-log-level",
    "http:debug,http2:debug",
  ];
  const child = spawn(options.program, ["-c", configuration, ...flags], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const ended = once(child, "exit");

  async function stop(): Promise<void> {
    child.kill("SIGTERM");
    await ended;
  }

  try {
    await waitForPort(port, () => child.exitCode === null);
  } catch (error) {
    await stop();
    throw new Error(`Envoy did not start:\n${output}`, { cause: error });
  }
  return { port, output: () => output, stop, [Symbol.asyncDispose]: stop };
}

function configurationOf(port: number, { upstream, maxUpstreamConnectionSeconds, route: more = {} }: EnvoyOptions) {
  const route = { match: { prefix: "/" }, route: { cluster: "upstream", timeout: "0s", ...more } };
  const manager = {
    "@type": managerType,
    stat_prefix: "in",
    codec_type: "HTTP2",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes: [route] }] },
    http_filters: [{ name: "router", typed_config: { "@type": `${types}.filters.http.router.v3.Router` } }],
  };
  const protocol = {
    "@type": `${types}.upstreams.http.v3.HttpProtocolOptions`,
    explicit_http_config: { http2_protocol_options: {} },
    ...(maxUpstreamConnectionSeconds === undefined
      ? {}
      : { common_http_protocol_options: { max_connection_duration: `${maxUpstreamConnectionSeconds}s` } }),
  };
  return {
    static_resources: {
      listeners: [
        {
          address: addressOf("127.0.0.1", port),
          filter_chains: [{ filters: [{ name: "manager", typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: "upstream",
          type: "STATIC",
          typed_extension_protocol_options: { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": protocol },
          load_assignment: {
            cluster_name: "upstream",
            endpoints: [{ lb_endpoints: [{ endpoint: { address: addressOf("127.0.0.1", upstream.port) } }] }],
          },
          ...(upstream.tls === null ? {} : { transport_socket: transportSocket(upstream.host, upstream.tls) }),
        },
      ],
    },
  };
}

function addressOf(address: string, port: number) {
  return { socket_address: { address, port_value: port } };
}

function transportSocket(host: string, { ca, cert, key }: NonNullable<RpcTarget["tls"]>) {
  return {
    name: "tls",
    typed_config: {
      "@type": `${types}.transport_sockets.tls.v3.UpstreamTlsContext`,
      sni: host,
      common_tls_context: {
        tls_certificates: [{ certificate_chain: { filename: cert }, private_key: { filename: key } }],
        validation_context: { trusted_ca: { filename: ca } },
      },
    },
  };
}
