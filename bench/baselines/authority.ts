import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { maxLiveTokens } from "../population/seed.ts";
import type { Setup, Transport, Way } from "../runner/way.ts";

export type AuthorityOptions = {
  readonly name?: string;
  readonly transport?: Transport;
  /** Which of the two data directories it owns. */
  readonly directory?: "directory" | "copy";
  /** Settings of another store than a data directory, without their prefix. */
  readonly store?: Readonly<Record<string, string>>;
  /** Without their prefix. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of the environment, by their whole names. */
  readonly variables?: Readonly<Record<string, string>>;
  /** For node itself. */
  readonly nodeArgs?: readonly string[];
  /** The work tree whose program it is: by default this one. */
  readonly tree?: string;
};

const thisTree = fileURLToPath(new URL("../..", import.meta.url));

/** What is measured: the server as an operator starts it, with its defaults. */
export function authority(options: AuthorityOptions = {}): Way {
  const {
    name = "authority",
    transport = "cleartext",
    directory = "directory",
    store,
    settings = {},
    variables = {},
    nodeArgs = [],
    tree = thisTree,
  } = options;
  return {
    name,
    transport,
    program(setup) {
      const all = {
        LISTEN: "127.0.0.1:0",
        ADMIN_LISTEN: "127.0.0.1:0",
        ...(store ?? { DATA_DIR: setup[directory] }),
        MAX_TOKENS_PER_ACCOUNT: String(maxLiveTokens),
        ...(transport === "TLS 1.3" ? tlsSettings(setup) : {}),
        ...settings,
      };
      return {
        command: process.execPath,
        args: [...nodeArgs, join(tree, "src", "main.ts")],
        env: {
          ...Object.fromEntries(Object.entries(all).map(([key, value]) => [`TOKEN_AUTHORITY_${key}`, value])),
          ...variables,
        },
      };
    },
  };
}

function tlsSettings({ certificates: { ca, server, callers } }: Setup) {
  return { TLS_CERT: server.cert, TLS_KEY: server.key, TLS_CLIENT_CA: ca, CALLERS: callers };
}
