/**
 * The rules that the promise rests on, each with what goes wrong without it. The authority waits for longer
 * than a lease, because clocks differ in rate and can stand still for a moment.
 */
export const rules = {
  W1: "a gateway counts its lease from before it asked, not from the answer",
  W2: "no lease is longer than a revocation waits",
  W3: "a lease comes after every event that was sent before it",
  W4: "what a gateway says that it applied counts as acknowledged, and nothing else does",
  "W5 catch up": "a thread that grants a lease has first sent what was changed at other threads",
  "C1 tombstone": "an answer that is older than an event about its key is not kept",
  "C1 account": "an event about an account is remembered like one about a key",
  "C1 floor": "an answer from before the first lease is not kept",
  "C1 dropped": "a forgotten event raises the floor",
  "C1 reset": "a reset raises the floor",
  "C1 order": "an older answer does not replace a newer one",
  "C1 let go": "an answer that is older than one which was evicted, or not kept, is not kept",
  C2: "a hit needs a lease",
  "A1 revision": "an answer carries the revision that its decision saw, not a later one",
  "R1 wait": "a revocation waits for acknowledgements, or until every lease is over",
  "R2 bound": "a revocation that is not acknowledged waits as long as a lease and the grace",
  "R3 retry": "a revocation that is asked for again waits as the first did",
  "R4 threads": "a revocation waits for the gateways of every thread",
  "S1 stream": "a lease outlives its stream unless the gateway releases it",
  "S2 release": "a gateway releases a lease only when it has another one",
  "M1 crash": "a start after a crash waits for the leases of the process before",
  "M2 stop": "a stop in good order waits for its leases before it says so on the disk",
} as const;

export type Rule = keyof typeof rules;

export const ruleNames = Object.keys(rules) as Rule[];

export const renewMs = 500;
