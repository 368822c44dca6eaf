import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { AuthorityProcess } from "./authority-process.ts";

/** A process of an edge, which has nothing on disk. */
export class EdgeProcess extends AuthorityProcess {
  constructor(upstream: string, environment: Readonly<Record<string, string>> = {}) {
    super("/", [], { TOKEN_AUTHORITY_UPSTREAM: upstream, TOKEN_AUTHORITY_ADMIN_LISTEN: "127.0.0.1:0", ...environment });
  }

  /** Resolves once so many threads decide from memory. */
  async leased(threads = 1): Promise<void> {
    await this.logged(new RegExp(`^(?:[^]*"keys are decided on from memory"){${threads}}`));
  }

  async tokens() {
    return createClient(TokenService, createGrpcTransport({ baseUrl: `http://${await this.address()}` }));
  }

  async #admin(path: string): Promise<Response> {
    const [, admin] = await this.logged(/"admin":"([^"]+)"/);
    return await fetch(`http://${admin}${path}`);
  }

  async isReady(): Promise<boolean> {
    return (await this.#admin("/readyz")).ok;
  }

  /** The sum of a metric over its labels. */
  async metric(name: string): Promise<number> {
    const text = await (await this.#admin("/metrics")).text();
    const values = [...text.matchAll(new RegExp(`^${name}(?:\\{[^}]*\\})? (.+)$`, "gm"))];
    return values.reduce((sum, [, value]) => sum + Number(value), 0);
  }
}
