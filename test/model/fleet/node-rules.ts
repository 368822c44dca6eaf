/** The rules of a node, each with what goes wrong without it. They are kept by the project's own code. */
export const nodeRules = {
  "N1 sent": "a lease runs from before the renewal was sent",
  "N1 clocks": "a lease is over once the two clocks have moved apart",
  "N2 committed": "only a committed update of the own row renews",
  "N3 applied": "a renewal counts only once the journal is applied up to the head that it returned",
  "N4 insert": "to insert the row gives no lease, and forgets what was known",
  "N5 memory": "a decision from memory needs a lease",
  "N5 read": "a decision from a read needs a lease and no change since, after its answer came",
  "N6 applied": "only what is applied is acknowledged",
  "N6 watchers": "what a watcher with a lease does not know is not acknowledged",
  "N7 bound": "a change that is not acknowledged waits until every lease is over",
  "N7 retry": "a change that was made before waits as the first did",
  "N8 dead": "only a row that nobody has renewed for a lease and the grace is dropped",
  "N8 gone": "a node without a row has no lease",
  "N9 season": "the fast answer waits until every lease of another server is over",
  "W2 left": "no lease of a gateway is longer than what is left of its node's",
} as const;

export type NodeRule = keyof typeof nodeRules;

export const nodeRuleNames = Object.keys(nodeRules) as NodeRule[];
