import type { Socket } from "node:net";
import { startSilenceTimer } from "../silence-timer.ts";

const words = "this port speaks TLS";
const http1Answer = `HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: ${words.length + 1}\r\n\r\n${words}\n`;
/** SETTINGS, and GOAWAY with INADEQUATE_SECURITY (RFC 9113, 6.8 and 7) and the words as its debug data. */
const http2Answer = Buffer.concat([
  Buffer.from("000000040000000000", "hex"),
  Buffer.from([0, 0, 8 + words.length, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 12]),
  Buffer.from(words, "latin1"),
]);
const lingerMs = 1_000;

/**
 * Looks at the first byte of a connection and puts it back: `begin` is called for TLS. A peer that speaks plaintext
 * HTTP is told so in its own protocol; `refused` hears of it, as of any other peer without TLS. A socket that ends,
 * fails or says nothing for `ms` is destroyed.
 */
export function sniffTls(
  socket: Socket,
  ms: number,
  { begin, refused }: { readonly begin: () => void; readonly refused: (fault: "PLAINTEXT" | "NOT_TLS") => void },
): void {
  const cut = () => socket.destroy();
  const callOff = startSilenceTimer(ms, cut);
  socket.once("data", (first: Buffer) => {
    callOff();
    socket.off("end", cut);
    socket.off("close", callOff);
    if (isTlsRecord(first)) {
      socket.pause();
      socket.unshift(first);
      begin();
      return;
    }
    const answer = answerTo(first);
    refused(answer === null ? "NOT_TLS" : "PLAINTEXT");
    if (answer === null) {
      socket.destroy();
    } else {
      endWith(socket, answer);
    }
  });
  socket.on("end", cut);
  socket.on("close", callOff);
  socket.resume();
}

/** Any of the types of RFC 8446, 5.1: OpenSSL says what is wrong with those that begin no handshake. */
function isTlsRecord(first: Buffer): boolean {
  const type = first[0] ?? 0;
  return type >= 20 && type <= 24;
}

function answerTo(first: Buffer): string | Uint8Array | null {
  const start = first.toString("latin1", 0, 64);
  if (start.startsWith("PRI * HTTP/2.0")) {
    return http2Answer;
  }
  return /^[A-Z]{3,20} \S/.test(start) ? http1Answer : null;
}

/** What comes after is read and thrown away: a reset for unread bytes could overtake the answer. */
function endWith(socket: Socket, answer: string | Uint8Array): void {
  socket.end(answer);
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
}
