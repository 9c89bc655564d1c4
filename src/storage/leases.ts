/**
 * Which process does what only one should do at a time. A lease is a name that one holder has until an instant; after
 * that any process may take it, so that none waits for a dead one. Times are unix milliseconds and come from the callers:
 * what leases guard must bear that two clocks differ a little.
 */
export interface Leases {
  /**
   * Gives the lease to the holder, or prolongs what it has, unless another one holds it at `now`. Returns whether the
   * holder has it until `until`; of many who ask at once for a free one exactly one does.
   */
  take(name: string, lease: { holder: string; now: number; until: number }): Promise<boolean>
  /** Ends the lease if it is this holder's. */
  release(name: string, holder: string): Promise<void>
}
