import type { Freshness } from "../../../authority/freshness.ts";
import type { NodeRules } from "./node-rules.ts";

/** A little less than the deadline of an Authenticate. */
const maxWaitMs = 1000;

export type NodeFreshnessParts = {
  readonly rules: NodeRules;
  /** What the rules say has changed: there may be something to send, or a change to wait for. */
  readonly onNews: () => void;
  /** Resolves with the next renewal that counts. Rejects with UNDECIDED when there is none in time. */
  readonly untilRenewed: (ms: number) => Promise<void>;
};

/** The freshness that a thread has from its lease. */
export function createNodeFreshness({ rules, onNews, untilRenewed }: NodeFreshnessParts): Freshness {
  return {
    mark: rules.mark,
    isFresh: rules.isFresh,
    isPastLease: () => !rules.isHeld() && rules.isInGrace(),
    changesSince: rules.changesSince,

    async untilFresh() {
      rules.requireServing();
      if (!rules.isHeld()) {
        await untilRenewed(maxWaitMs);
      }
    },

    untilChanged: (mark) => new Promise((resolve) => rules.onMoved(mark, resolve)),
    hashOf: rules.hashOf,
    leaseMs: () => Math.floor(rules.leftMs()),

    report(report) {
      rules.report(report);
      onNews();
    },

    async settle(revision) {
      rules.requireServing();
      return await new Promise((resolve) => {
        rules.wait(revision, resolve);
        onNews();
      });
    },
  };
}
