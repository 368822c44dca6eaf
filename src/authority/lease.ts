/** How long a lease lasts, from before its holder asked for it. All keepers and holders of leases agree on it. */
export const leaseMs = 2000;

/** How much longer a lease is waited out: for clocks that run apart, or stand still for a while. */
export const graceMs = 1000;

/** No change waits longer than this for the holders of leases: by then every lease from before it is over. */
export const settleMs = leaseMs + graceMs;

/**
 * By how much the two clocks of a holder may move apart before its lease is over: what they can miss unseen stays below
 * the grace, summed over who waits, the node and the gateway.
 */
export const maxClocksApartMs = 250;
