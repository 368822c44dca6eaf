const zero = 0x30;
const maxDigits = 8;

const msOfUnit: ReadonlyMap<string, number> = new Map([
  ["H", 3_600_000],
  ["M", 60_000],
  ["S", 1000],
  ["m", 1],
  ["u", 1e-3],
  ["n", 1e-6],
]);

/** The milliseconds of a `grpc-timeout` (gRPC over HTTP/2: 1 to 8 digits and a unit), or "malformed". */
export function grpcTimeoutMs(text: string): number | "malformed" {
  const digits = text.length - 1;
  const unitMs = msOfUnit.get(text.charAt(digits));
  if (unitMs === undefined || digits < 1 || digits > maxDigits) {
    return "malformed";
  }
  let amount = 0;
  for (let at = 0; at < digits; at++) {
    const digit = text.charCodeAt(at) - zero;
    if (digit < 0 || digit > 9) {
      return "malformed";
    }
    amount = 10 * amount + digit;
  }
  return amount * unitMs;
}
