// Calls Authenticate as a busy gateway that is written for Node does, by the library that is named, and prints what
// came of it as one line of JSON: node main.mjs LIBRARY ORDER_FILE
import { grpcJs } from "./grpc-js.mjs";
import { readOrder, run } from "./mix.mjs";
import { niceGrpc } from "./nice-grpc.mjs";
import { nodeHttp2 } from "./node-http2.mjs";
import { undiciHttp1, undiciHttp2 } from "./undici.mjs";

const stacks = {
  "grpc-js": grpcJs,
  "nice-grpc": niceGrpc,
  "node-http2": nodeHttp2,
  "undici-h1": undiciHttp1,
  "undici-h2": undiciHttp2,
};
const [name, file] = process.argv.slice(2);
console.log(JSON.stringify(await run(stacks[name], readOrder(file))));
process.exit(0);
