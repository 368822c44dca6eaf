import type { Holder } from "../authority/freshness.ts";
import type { TokenAuthorityOptions } from "../authority/token-authority.ts";
import type { Log } from "../machine/log.ts";
import { type Allowance, createSampler } from "../machine/sampler.ts";

/** Of one holder, and of all changes together: a gateway that is stopped concerns every revocation meanwhile. */
const sampled: Allowance = { lines: 1, everyMs: 10_000 };

/** Makes the log lines of holders of leases that do not acknowledge in time, and of changes that waited for them. */
export function createHolderLog(
  log: Log,
  steadyNowMs?: () => number,
): Pick<TokenAuthorityOptions, "onSilent" | "onWaitedOut"> {
  const sample = createSampler(steadyNowMs);
  return {
    onSilent({ identity, heardAtMs }) {
      const suppressed = sample(`silent ${identity}`, sampled);
      if (suppressed !== null) {
        const heard = heardAtMs === null ? undefined : new Date(heardAtMs).toISOString();
        log.warn({ caller: identity, heard, suppressed }, "a holder of a lease did not acknowledge in time");
      }
    },
    onWaitedOut({ revision, silent, unconfirmed, waitedMs }) {
      const suppressed = sample("waited out", sampled);
      if (suppressed !== null) {
        const ms = Math.round(waitedMs);
        const who = { silent: namesOf(silent), ...(unconfirmed.length > 0 && { unconfirmed: namesOf(unconfirmed) }) };
        log.warn({ revision, ...who, ms, suppressed }, "a change waited until leases were over");
      }
    },
  };
}

function namesOf(holders: readonly Holder[]): readonly string[] {
  return [...new Set(holders.map(({ identity }) => identity))].slice(0, 10);
}
