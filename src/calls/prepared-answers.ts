import type { Principal } from "../authority/key-index.ts";
import type { StoredToken } from "../authority/token.ts";

/** The answers that accepting one token gives, in bytes. Null until they are asked for. */
class PreparedAnswers {
  authenticate: Uint8Array | null = null;
  check: Uint8Array | null = null;
}

/**
 * The answer of an RPC that accepting the principal gives: made once where the index remembers the principal, and kept
 * beside it. `make` goes by nothing but the token. The bytes must not change: they are shared.
 */
export function preparedAnswer(
  principal: Principal,
  rpc: keyof PreparedAnswers,
  make: (token: StoredToken) => Uint8Array,
): Uint8Array {
  if (!principal.isRemembered) {
    return make(principal.token);
  }
  const prepared = preparedBeside(principal);
  const known = prepared[rpc];
  if (known !== null) {
    return known;
  }
  // A copy: what is kept for long must not be a slice of Node's pool, which would keep 8 KiB alive with it.
  const answer = new Uint8Array(make(principal.token));
  prepared[rpc] = answer;
  return answer;
}

/**
 * A weak map by token would say the same, and costs the garbage collector a quarter more for each key that is
 * looked up.
 */
function preparedBeside(principal: Principal): PreparedAnswers {
  if (principal.beside instanceof PreparedAnswers) {
    return principal.beside;
  }
  const prepared = new PreparedAnswers();
  principal.beside = prepared;
  return prepared;
}
