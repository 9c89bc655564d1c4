/** What holds for rows of watches on every engine. */
import type { Watch } from '../../relay/store.ts'

/** Whether a newer word than this one is kept. An end counts against a registration of the same second. */
export const isOlderWord = (word: Watch, kept: Watch): boolean =>
  word.issuedAt < kept.issuedAt ||
  (word.issuedAt === kept.issuedAt && kept.state === 'ended' && word.state !== 'ended')

/** A watch that stands keeps how it is doing when it is registered again. */
export const withStanding = (word: Watch, kept: Watch | undefined): Watch => {
  if (!kept || kept.state === 'ended' || word.state === 'ended') return word
  const state = kept.state === 'active' ? kept.state : word.state
  return { ...word, state, refusals: kept.refusals, failingSince: kept.failingSince }
}
