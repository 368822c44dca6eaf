/** One DER element: its tag byte and its contents. */
export type DerElement = { readonly tag: number; readonly value: Uint8Array };

/** Reads the DER elements (X.690) that stand one after the other in some bytes; null when they are not well formed. Never throws. */
export function readDer(bytes: Uint8Array): DerElement[] | null {
  const elements: DerElement[] = [];
  let offset = 0;
  while (offset < bytes.byteLength) {
    const element = readElement(bytes, offset);
    if (element === null) {
      return null;
    }
    elements.push({ tag: element.tag, value: bytes.subarray(element.start, element.end) });
    offset = element.end;
  }
  return elements;
}

// Certificates need no tag above 30 and no length above four bytes; indefinite lengths are not DER.
function readElement(bytes: Uint8Array, offset: number): { tag: number; start: number; end: number } | null {
  const tag = bytes[offset];
  const first = bytes[offset + 1];
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) {
    return null;
  }
  const lengthBytes = first < 0x80 ? 0 : first - 0x80;
  if (first === 0x80 || lengthBytes > 4) {
    return null;
  }
  let length = lengthBytes === 0 ? first : 0;
  for (let index = 0; index < lengthBytes; index += 1) {
    length = length * 256 + (bytes[offset + 2 + index] ?? 0);
  }
  const start = offset + 2 + lengthBytes;
  const end = start + length;
  return end > bytes.byteLength ? null : { tag, start, end };
}
