// A baseline: stock connect-node on node:http2, over the authority's own store. Says where it listens, ends on SIGTERM.
//
//   node connect-node-server.ts DATA_DIR
import { createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { TokenService } from "#gen/casapay/token/v1/token_service_pb.ts";
import { decide, openLookUp } from "./decide.ts";

const [directory = ""] = process.argv.slice(2);
const lookUp = openLookUp(directory);
const adapter = connectNodeAdapter({
  routes: (router) => router.service(TokenService, { authenticate: ({ key }) => decide(lookUp, key) }),
});
const server = createServer(adapter).listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));
