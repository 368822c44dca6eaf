import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A proxy to an authority that forgets connections and tells neither side, as a quiet load balancer does. */
export class SilentProxy implements AsyncDisposable {
  readonly #server = createServer((client) => this.#forward(client));
  readonly #target: string;
  readonly #sockets = new Set<Socket>();
  /** How many connections clients opened, and the last of them. */
  opened = 0;
  latest: Socket | null = null;

  private constructor(target: string) {
    this.#target = target;
  }

  static async to(target: string): Promise<SilentProxy> {
    const proxy = new SilentProxy(target);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on nothing gets through on the connections that there are. New ones work. */
  forget(): void {
    for (const socket of this.#sockets) {
      socket.unpipe();
      // Read, so that a side that gives up is noticed, and thrown away.
      socket.resume();
    }
  }

  #forward(client: Socket): void {
    const [host = "", port] = this.#target.split(":");
    const upstream = connect({ host, port: Number(port) });
    client.pipe(upstream, { end: false });
    upstream.pipe(client, { end: false });
    for (const socket of [client, upstream]) {
      this.#sockets.add(socket);
      socket.on("error", () => {}).on("close", () => this.#sockets.delete(socket));
    }
    this.opened += 1;
    this.latest = client;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, "close");
  }
}
