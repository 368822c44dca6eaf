import { type AuthenticateResponse, RefusalReason, TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { freePort, waitForPort } from "../support/ports.ts";
import { createTokenClient, type TokenClient } from "../support/token-client.ts";
import type { Answer, Gateway, GatewayOptions } from "./gateway-process.ts";
import { ManagedProcess } from "./managed-process.ts";

/** An edge: the authority's own program, which decides from a leased cache for the gateway beside it. */
export class EdgeProcess implements Gateway {
  readonly link;
  readonly clock;
  readonly #options: GatewayOptions;
  #process: ManagedProcess | null = null;
  #client: TokenClient | null = null;
  #lives = 0;

  private constructor(options: GatewayOptions) {
    this.#options = options;
    this.link = options.link;
    this.clock = options.clock;
  }

  static async start(options: GatewayOptions): Promise<EdgeProcess> {
    const edge = new EdgeProcess(options);
    await edge.restart();
    return edge;
  }

  holder(): string {
    return `${this.#options.name}-${this.#lives}`;
  }

  async ask(key: string): Promise<Answer | null> {
    return this.#client === null ? null : askAuthority(this.#client, key);
  }

  async stopFor(ms: number): Promise<void> {
    await this.#process?.stopFor(ms);
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
    this.#client?.[Symbol.dispose]();
    this.#client = null;
  }

  async restart(): Promise<void> {
    await this.kill();
    this.#lives += 1;
    const { program, link } = this.#options;
    const port = await freePort();
    const settings = {
      TOKEN_AUTHORITY_LISTEN: `127.0.0.1:${port}`,
      TOKEN_AUTHORITY_ADMIN_LISTEN: "off",
      TOKEN_AUTHORITY_UPSTREAM: link.address(),
    };
    const env = { ...program.env, ...settings, ...this.clock?.environment() };
    const started = await ManagedProcess.start({ ...program, env }, /"msg":"listening"/);
    this.#process = started;
    await waitForPort(port, () => started.isRunning());
    this.#client = createTokenClient(`127.0.0.1:${port}`);
  }
}

/** Authenticate does not say where an answer comes from. */
export async function askAuthority(client: TokenClient, key: string): Promise<Answer> {
  try {
    const { outcome } = await client.call(TokenService.method.authenticate, { key });
    return { verdict: verdictOf(outcome), source: "authority" };
  } catch {
    return { verdict: "undecided", source: "authority" };
  }
}

function verdictOf({ case: kind, value }: AuthenticateResponse["outcome"]): Answer["verdict"] {
  if (kind !== "refusal") {
    return kind === "principal" ? "accept" : "undecided";
  }
  const isUnknown = value.reason === RefusalReason.KEY_UNKNOWN || value.reason === RefusalReason.KEY_MALFORMED;
  return isUnknown ? "unknown" : "refuse";
}
