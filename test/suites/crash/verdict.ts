import { type AuthenticateResponse, RefusalReason } from "#gen/casapay/token/v1/token_service_pb.ts";
import type { Fault, IssuedKey, Ledger } from "./ledger.ts";

/** Notes a fault when the verdict on a key is not the one that its state asks for. */
export function checkVerdict(
  ledger: Ledger,
  { id }: IssuedKey,
  state: IssuedKey["state"],
  outcome: AuthenticateResponse["outcome"],
  when: Fault["when"],
): void {
  const isAccepted = outcome.case === "principal" && outcome.value.tokenId === id;
  const isRevoked =
    outcome.case === "refusal" && outcome.value.reason === RefusalReason.TOKEN_REVOKED && outcome.value.tokenId === id;
  if (state === "live" ? !isAccepted : state === "revoked" ? !isRevoked : !isAccepted && !isRevoked) {
    const verdict = outcome.case === "refusal" ? `refused with reason ${outcome.value.reason}` : `${outcome.case}`;
    ledger.fault(when, `${id} is ${state}, but the verdict is: ${verdict}`);
  }
}
