import { call } from "./rpc.js";
import { asRpcError } from "./words.js";

/**
 * Sends requests that make a key, with one id for one content: sending the same again makes nothing new.
 *
 * @template {"Create" | "RotateKey"} Rpc
 * @param {Rpc} rpc
 */
export function createRetry(rpc) {
  let sent = "";
  let requestId = "";
  /** Whether the authority can keep a key for a retry. */
  let takesRequestIds = true;

  /**
   * @param {object} request
   * @param {AbortSignal} signal
   */
  async function send(request, signal) {
    const body = JSON.stringify(request);
    if (body !== sent) {
      sent = body;
      requestId = crypto.randomUUID();
    }
    if (takesRequestIds) {
      try {
        return await call(rpc, { ...request, requestId }, signal);
      } catch (error) {
        if (asRpcError(error).reason !== "SEALING_SECRET_MISSING") {
          throw error;
        }
        // It was refused before anything was made.
        takesRequestIds = false;
      }
    }
    return await call(rpc, request, signal);
  }

  return { send, isSafe: () => takesRequestIds };
}
