/** A token bucket that may go into debt: what came is served, and what follows waits until the debt is paid. */
export interface Bucket {
  /** Takes `tokens`; answers for how many milliseconds nothing more should be taken (0: go on). */
  take(tokens: number, now: number): number
}

export const createBucket = (perSecond: number, burst: number): Bucket => {
  let level = burst
  let filledAt = 0
  return {
    take(tokens, now) {
      if (filledAt !== 0) level = Math.min(burst, level + (Math.max(0, now - filledAt) * perSecond) / 1000)
      filledAt = now
      level -= tokens
      return level >= 0 ? 0 : Math.ceil((-level * 1000) / perSecond)
    },
  }
}
