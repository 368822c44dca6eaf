import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** What stands between a store and its server, and can be shut. */
export type Gate = AsyncDisposable & {
  readonly port: number;
  /** Ends all connections, and takes no others. */
  cut(): void;
  /** Passes nothing on, and ends nothing: as a firewall that drops packets. */
  swallow(): void;
  open(): void;
};

export async function openGate(serverPort: number): Promise<Gate> {
  let state: "open" | "cut" | "swallowing" = "open";
  const sockets = new Set<Socket>();
  const keep = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => socket.destroy());
  };
  const server = createServer((incoming) => {
    keep(incoming);
    if (state === "cut") {
      incoming.destroy();
      return;
    }
    const outgoing = connect(serverPort, "127.0.0.1");
    keep(outgoing);
    for (const [from, to] of [
      [incoming, outgoing],
      [outgoing, incoming],
    ] as const) {
      from.on("data", (data) => {
        if (state === "open") {
          to.write(data);
        }
      });
      from.on("close", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const endAll = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    cut() {
      state = "cut";
      endAll();
    },
    swallow() {
      state = "swallowing";
    },
    open() {
      state = "open";
    },
    async [Symbol.asyncDispose]() {
      endAll();
      server.close();
      await once(server, "close");
    },
  };
}
