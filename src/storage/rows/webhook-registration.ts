/** What holds for rows of watches on every engine. */
import type { Watch } from '../../relay/store.ts'

/** Whether a newer word than this one is kept. An end counts against a registration of the same second. */
export const isOlderWord = (word: Watch, stored: Watch): boolean =>
  word.issuedAt < stored.issuedAt ||
  (word.issuedAt === stored.issuedAt && stored.state === 'ended' && word.state !== 'ended')

/** A watch that stands keeps how it is doing when it is registered again. */
export const withStanding = (word: Watch, stored: Watch | undefined): Watch => {
  if (!stored || stored.state === 'ended' || word.state === 'ended') return word
  const state = stored.state === 'active' ? stored.state : word.state
  return { ...word, state, refusals: stored.refusals, failingSince: stored.failingSince }
}
