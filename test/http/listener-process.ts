import { startListener } from "../../src/http/listener.ts";

// A listener in a process of its own, for tests that starve it of something. Prints its port and what it logs.
const print = (fields: object, message: string) => void process.stdout.write(`${message} ${JSON.stringify(fields)}\n`);
const listener = await startListener({
  address: { host: "127.0.0.1", port: 0 },
  handler: async () => ({ status: 200, body: new Uint8Array(1) }),
  tls: null,
  log: { info: print, warn: print, error: print },
});
process.stdout.write(`port ${"port" in listener.address ? listener.address.port : 0}\n`);
