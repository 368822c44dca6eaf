import { startListener } from "../../src/wire/port/listener.ts";

// A listener in a process of its own, for tests that starve it of something. Prints its port and what it logs.
const print = (fields: object, message: string) => void process.stdout.write(`${message} ${JSON.stringify(fields)}\n`);
const log = { info: print, warn: print, error: print };
const handler = async () => ({ status: 200, body: new Uint8Array(1) });
const listener = await startListener({
  address: { host: "127.0.0.1", port: 0 },
  handler,
  tls: null,
  knowsCallers: false,
  log,
});
process.stdout.write(`port ${"port" in listener.address ? listener.address.port : 0}\n`);
