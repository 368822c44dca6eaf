// A baseline: node:net alone. Answers ANSWER_BYTES to each REQUEST_BYTES. Says where it listens, ends on SIGTERM.
//
//   node net-echo-server.ts REQUEST_BYTES ANSWER_BYTES
import { type AddressInfo, createServer } from "node:net";

const [requestBytes = 0, answerBytes = 0] = process.argv.slice(2).map(Number);
const answer = Buffer.alloc(answerBytes);

const server = createServer({ noDelay: true }, (socket) => {
  let left = requestBytes;
  socket.on("error", () => {});
  socket.on("data", (bytes) => {
    left -= bytes.length;
    while (left <= 0) {
      left += requestBytes;
      socket.write(answer);
    }
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.log(JSON.stringify({ address: `127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));
