import type { Socket } from "node:net";
import { startSilenceTimer } from "../silence-timer.ts";

// The client connection preface (RFC 9113, 3.4).
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Reads just enough of a connection to tell HTTP/2 with prior knowledge from HTTP/1.1, puts it back and says
 * which it is. A socket that ends, fails or stays undecided for `ms` is destroyed, and `decided` is not called.
 */
export function sniffProtocol(socket: Socket, ms: number, decided: (protocol: "h2" | "http/1.1") => void): void {
  let seen: Buffer = Buffer.alloc(0);
  const cut = () => socket.destroy();
  const callOff = startSilenceTimer(ms, cut);
  const onData = (chunk: Buffer) => {
    seen = seen.byteLength === 0 ? chunk : Buffer.concat([seen, chunk]);
    const length = Math.min(seen.byteLength, preface.byteLength);
    const matches = seen.subarray(0, length).equals(preface.subarray(0, length));
    if (matches && length < preface.byteLength) {
      return;
    }
    callOff();
    socket.off("data", onData);
    socket.off("end", cut);
    socket.off("close", callOff);
    socket.pause();
    socket.unshift(seen);
    decided(matches ? "h2" : "http/1.1");
  };
  socket.on("data", onData);
  socket.on("end", cut);
  socket.on("close", callOff);
}
