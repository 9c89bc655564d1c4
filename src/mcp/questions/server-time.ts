/**
 * What time it is at the server, from the Date header of its answers. A question ends by the server's time, and the clock of the
 * agent's machine may be wrong.
 */
import type { FetchDeps } from '../../platform/net/fetch-json.ts'

/** The header has whole seconds and is read after it was written: a clock that is ahead by less is taken for right. */
const TOLERANCE_MS = 2_000

/** `fetch` notes the time of each answer; `now` is unix ms at the server, or here before the first answer. */
export const createServerTime = ({
  clock,
  fetch,
}: Pick<FetchDeps, 'clock' | 'fetch'>): Pick<FetchDeps, 'fetch'> & { now(): number } => {
  let aheadMs = 0
  return {
    async fetch(...request) {
      const answer = await fetch(...request)
      const saidAt = Date.parse(answer.headers.get('date') ?? '')
      const ahead = clock.now() - saidAt
      if (!Number.isNaN(saidAt)) aheadMs = ahead >= 0 && ahead < TOLERANCE_MS ? 0 : ahead
      return answer
    },
    now: () => clock.now() - aheadMs,
  }
}
