/** The archive's store over the port. */
import { randomUUID } from 'node:crypto'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Kv } from '../../storage/kv.ts'
import type { ArchiveStore } from '../store.ts'
import { createMessageDeps } from './keep.ts'
import { messageVerbs } from './messages.ts'
import { registrationVerbs, sweepTags } from './registrations.ts'
import { sweepMessages } from './sweep.ts'

export const createArchiveStore = (kv: Kv, clock: Pick<Clock, 'now'>): ArchiveStore => {
  const deps = createMessageDeps(kv)
  return {
    ...messageVerbs(deps, clock),
    ...registrationVerbs(kv, randomUUID()),
    async sweep(now, limit) {
      const topics = await sweepMessages(deps, now, limit)
      return topics + (topics < limit ? await sweepTags(kv, now, limit - topics) : 0)
    },
  }
}
