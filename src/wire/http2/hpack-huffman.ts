/**
 * The length of each symbol's code, by octet; the last is EOS (RFC 7541 appendix B). The code is canonical: codes of
 * one length follow each other in the order of their symbols, so that the lengths tell all.
 */
const codeLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
  28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6,
  5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23,
  22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22,
  23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26,
  20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27,
  27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27,
  27, 27, 27, 26, 30,
];

const endOfString = 256;

type Codes = { readonly code: Uint32Array; readonly length: Uint8Array };

function assignCodes(): Codes {
  const code = new Uint32Array(codeLengths.length);
  let next = 0;
  for (let length = 1; length <= 30; length++) {
    next *= 2;
    for (const [symbol, symbolLength] of codeLengths.entries()) {
      if (symbolLength === length) {
        code[symbol] = next++;
      }
    }
  }
  return { code, length: Uint8Array.from(codeLengths) };
}

/**
 * What the decoder does on eight more bits: bits 0-7 the next state, 8-15 and 16-23 the octets that it emits, 24-25 how
 * many these are. Two at the most: the shortest code has five bits.
 */
const countShift = 24;
const fails = 1 << 26;

type Machine = {
  /** By state * 256 + eight bits. */
  readonly steps: Uint32Array;
  /** Whether a string may end in this state (section 5.2). */
  readonly accepts: Uint8Array;
};

type Node = { readonly state: number; readonly children: (Node | number | undefined)[] };

/** The states are the inner nodes of the code's tree, of which there are 256: one fewer than symbols. */
function buildMachine({ code, length }: Codes): Machine {
  const nodes: Node[] = [];
  const newNode = (): Node => {
    const node = { state: nodes.length, children: [] };
    nodes.push(node);
    return node;
  };
  const root = newNode();
  for (const [symbol, symbolLength] of length.entries()) {
    let node = root;
    for (let bit = symbolLength - 1; bit > 0; bit--) {
      const side = ((code[symbol] ?? 0) >>> bit) & 1;
      const child = node.children[side];
      const next = typeof child === "object" ? child : newNode();
      node.children[side] = next;
      node = next;
    }
    node.children[(code[symbol] ?? 0) & 1] = symbol;
  }

  const steps = new Uint32Array(nodes.length * 256);
  for (const node of nodes) {
    for (let octet = 0; octet < 256; octet++) {
      steps[node.state * 256 + octet] = stepFrom(root, node, octet);
    }
  }

  // Section 5.2: padding is the most significant bits of EOS, which are ones, and shorter than 8 bits.
  const accepts = new Uint8Array(nodes.length);
  let padding: Node | number | undefined = root;
  for (let bits = 0; bits < 8 && typeof padding === "object"; bits++) {
    accepts[padding.state] = 1;
    padding = padding.children[1];
  }
  return { steps, accepts };
}

function stepFrom(root: Node, from: Node, octet: number): number {
  let node = from;
  let emitted = 0;
  let count = 0;
  for (let bit = 7; bit >= 0; bit--) {
    const child = node.children[(octet >>> bit) & 1];
    if (typeof child === "object") {
      node = child;
    } else if (child === undefined || child === endOfString) {
      // Section 5.2: a string that holds EOS is a decoding error.
      return fails;
    } else {
      emitted |= child << (8 * (count + 1));
      count += 1;
      node = root;
    }
  }
  return (count << countShift) | emitted | node.state;
}

const codes = assignCodes();
const machine = buildMachine(codes);

/**
 * The room that `decodeHuffman` needs for this many octets: the shortest code has five bits, and it writes two octets
 * at a time.
 */
export function maxDecodedBytes(bytes: number): number {
  return Math.floor((bytes * 8) / 5) + 2;
}

/**
 * Decodes `bytes` from `start` up to `end` into `out` from `at`, where there must be room for
 * `maxDecodedBytes`. Returns how many octets it wrote, or -1 if the code is wrong (RFC 7541 section 5.2).
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number, out: Uint8Array, at = 0): number {
  const { steps, accepts } = machine;
  let state = 0;
  let seen = 0;
  let to = at;
  for (let from = start; from < end; from++) {
    const step = steps[(state << 8) | (bytes[from] ?? 0)] ?? fails;
    seen |= step;
    // Both are written, and those that were not emitted are written over: a branch on how many would be guessed wrong
    // too often.
    out[to] = (step >> 8) & 0xff;
    out[to + 1] = (step >> 16) & 0xff;
    to += (step >> countShift) & 3;
    state = step & 0xff;
  }
  return (seen & fails) === 0 && accepts[state] === 1 ? to - at : -1;
}

/** How many octets `encodeHuffman` makes of this text, whose characters are octets. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let at = 0; at < text.length; at++) {
    bits += codes.length[text.charCodeAt(at) & 0xff] ?? 0;
  }
  return (bits + 7) >> 3;
}

/** Encodes text, whose characters are octets, into `out` at `start`; returns where it ends. */
export function encodeHuffman(text: string, out: Uint8Array, start: number): number {
  let end = start;
  let held = 0;
  let heldBits = 0;
  for (let at = 0; at < text.length; at++) {
    const octet = text.charCodeAt(at) & 0xff;
    const code = codes.code[octet] ?? 0;
    let left = codes.length[octet] ?? 0;
    // At most 7 bits are held and 16 are added at a time: within 32, whatever the code's length.
    while (left > 0) {
      const bits = Math.min(left, 16);
      left -= bits;
      held = (held << bits) | ((code >>> left) & ((1 << bits) - 1));
      heldBits += bits;
      while (heldBits >= 8) {
        heldBits -= 8;
        out[end++] = (held >>> heldBits) & 0xff;
      }
      held &= (1 << heldBits) - 1;
    }
  }
  if (heldBits > 0) {
    out[end++] = ((held << (8 - heldBits)) | (0xff >>> heldBits)) & 0xff;
  }
  return end;
}
