import type { RotationStore } from '../../../notify/store/store.ts'
import { name, number } from '../../bytes.ts'
import type { Env } from '../env.ts'
import type { Tables } from './tables.ts'

/** Replacing the keys of answers that wait. */
export const createLmdbRotation = (env: Env, tables: Tables): Pick<RotationStore, 'swapAnswerKey'> => ({
  async swapAnswerKey(entryId, old, next) {
    const id = name(entryId)
    await env.transaction(() => {
      const at = tables.outboxIds.get(id)
      const entry = at === undefined ? undefined : tables.outbox.get(number(at))
      if (at === undefined || entry?.task.kind !== 'response' || entry.task.key !== old) return
      tables.outbox.put(number(at), { ...entry, task: { ...entry.task, key: next } })
    })
  },
})
