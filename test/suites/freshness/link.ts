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
    await this.#control("POST", "/proxies/link", { listen: this.address(), upstream, enabled: true });
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
    await this.#control("POST", "/proxies", proxy);
  }

  async stopFor(ms: number): Promise<void> {
    await this.#process?.stopFor(ms);
  }

  async with(toxic: Toxic, action: () => Promise<void>): Promise<void> {
    await this.#control("POST", "/proxies/link/toxics", { name: toxic.type, toxicity: 1, ...toxic });
    await action();
    await this.#control("DELETE", `/proxies/link/toxics/${toxic.type}`);
  }

  async #control(method: "POST" | "DELETE", path: string, body?: object): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.#controlPort}${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) {
      throw new Error(`toxiproxy answered ${method} ${path} with ${response.status}: ${await response.text()}`);
    }
    await response.arrayBuffer();
  }
}
