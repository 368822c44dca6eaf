import { createInterface } from "node:readline";
import { FieldFactory } from "../../../src/wire/http2/field.ts";
import { HpackDecoder } from "../../../src/wire/http2/hpack-decoder.ts";
import { HpackEncoder } from "../../../src/wire/http2/hpack-encoder.ts";

// Our half of roundtrip.py. A line in is JSON: {reset} begins a connection anew; {tableBytes, pairs, wire} hands over a
// list and its block as the other side encoded it, after the table size was changed for both. A line out: our block of
// the list, and what we decoded from theirs. Octets are characters.
let encoder = new HpackEncoder(65_536);
let decoder = newDecoder();

function newDecoder(): HpackDecoder {
  const made = new HpackDecoder(new FieldFactory([]), { maxHeaderListBytes: 1e6, maxHeaderFields: 1e4 });
  made.allowTableBytes(65_536);
  return made;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { reset, tableBytes, pairs, wire } = JSON.parse(line) as {
    reset?: boolean;
    tableBytes: number | null;
    pairs: [string, string][];
    wire: string;
  };
  if (reset === true) {
    encoder = new HpackEncoder(65_536);
    decoder = newDecoder();
  }
  if (tableBytes !== null) {
    encoder.allowTableBytes(tableBytes);
  }
  const theirs = Buffer.from(wire, "hex");
  decoder.decode(theirs, 0, theirs.length);
  const decoded = decoder.fields.slice(0, decoder.count).map(({ name, value }) => [name, value]);
  process.stdout.write(`${JSON.stringify({ wire: encoder.encode(pairs).toString("hex"), decoded })}\n`);
}
