import { freePort, waitForPort } from "../support/ports.ts";
import { ManagedProcess } from "./managed-process.ts";

export type Toxic =
  | { readonly type: "latency"; readonly stream: Way; readonly attributes: { latency: number; jitter: number } }
  | { readonly type: "bandwidth"; readonly stream: Way; readonly attributes: { rate: number } }
  | { readonly type: "timeout"; readonly stream: Way; readonly attributes: { timeout: number } }
  | { readonly type: "reset_peer"; readonly stream: Way; readonly attributes: { timeout: number } }
  | { readonly type: "slow_close"; readonly stream: Way; readonly attributes: { delay: number } };

/** Towards the gateway, or towards the authority. */
type Way = "downstream" | "upstream";

const maxRemovals = 6;

/** What one gateway reaches the authority through: a toxiproxy of its own, which can be stopped and killed alone. */
export class Link {
  readonly #toxiproxy: string;
  readonly #port: number;
  readonly #controlPort: number;
  #upstream: string;
  #process: ManagedProcess | null = null;

  private constructor(toxiproxy: string, upstream: string, ports: { readonly port: number; readonly control: number }) {
    this.#toxiproxy = toxiproxy;
    this.#upstream = upstream;
    this.#port = ports.port;
    this.#controlPort = ports.control;
  }

  static async start(toxiproxy: string, upstream: string): Promise<Link> {
    const link = new Link(toxiproxy, upstream, { port: await freePort(), control: await freePort() });
    await link.restart();
    return link;
  }

  /** HOST:PORT, for the gateway. */
  address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Leads elsewhere from now on: connections that there are end. */
  async leadTo(upstream: string): Promise<void> {
    this.#upstream = upstream;
    await this.#control("/proxies/link", { listen: this.address(), upstream, enabled: true });
  }

  async kill(): Promise<void> {
    await this.#process?.kill();
  }

  async restart(): Promise<void> {
    await this.kill();
    const args = ["-host", "127.0.0.1", "-port", String(this.#controlPort)];
    const started = await ManagedProcess.start({ program: this.#toxiproxy, args }, /Starting/);
    this.#process = started;
    await waitForPort(this.#controlPort, () => started.isRunning());
    const proxy = { name: "link", listen: this.address(), upstream: this.#upstream, enabled: true };
    await this.#control("/proxies", proxy);
  }

  async stopFor(ms: number): Promise<void> {
    await this.#process?.stopFor(ms);
  }

  async with(toxic: Toxic, action: () => Promise<void>): Promise<void> {
    await this.#control("/proxies/link/toxics", { name: toxic.type, toxicity: 1, ...toxic });
    await action();
    await this.#remove(toxic);
  }

  /** Asked again: toxiproxy gives an answer up after a while, and goes on with what it does. */
  async #remove({ type }: Toxic): Promise<void> {
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(`http://127.0.0.1:${this.#controlPort}/proxies/link/toxics/${type}`, {
        method: "DELETE",
      });
      const text = await response.text();
      if (response.ok || (response.status === 404 && tries > 1)) {
        return;
      }
      if (tries === maxRemovals || response.status !== 503) {
        throw new Error(`toxiproxy answered DELETE of ${type} with ${response.status}: ${text}`);
      }
    }
  }

  async #control(path: string, body: object): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.#controlPort}${path}`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    if (!response.ok) {
      throw new Error(`toxiproxy answered POST ${path} with ${response.status}: ${await response.text()}`);
    }
    await response.arrayBuffer();
  }
}
