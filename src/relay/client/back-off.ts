/** Full jitter: anywhere between nothing and a ceiling that doubles. Spreads the clients after a relay's restart. */
const FIRST_CEILING_MS = 200
const MAX_CEILING_MS = 30_000
/** A connection that worked counts as so many failed attempts at most. */
const MAX_WORKING_ATTEMPTS = 2

/** When to connect again: later with every attempt that came to nothing. */
export const createBackOff = (randomBytes: (length: number) => Uint8Array) => {
  let attempts = 0
  return {
    /** Attempts in a row that came to nothing. */
    get attempts(): number {
      return attempts
    },
    nextPauseMs(): number {
      const [a = 0, b = 0, c = 0] = randomBytes(3)
      const fraction = (a * 65_536 + b * 256 + c) / 16_777_216
      const ceilingMs = Math.min(MAX_CEILING_MS, FIRST_CEILING_MS * 2 ** Math.min(attempts, 20))
      attempts++
      return fraction * ceilingMs
    },
    /** The relay answered something. */
    worked(): void {
      attempts = Math.min(attempts, MAX_WORKING_ATTEMPTS)
    },
    /** The connection lasted. */
    reset(): void {
      attempts = 0
    },
  }
}
