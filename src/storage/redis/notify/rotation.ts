import type { RotationStore } from '../../../notify/store/store.ts'
import { swapEntryScript } from '../lua/notify/accounts/swap-entry.ts'
import { type NotifyDeps, parsed, split, written } from './deps.ts'
import { ALL } from './rows/layout.ts'

/** Replacing the keys of answers that wait. Each call bears repetition. */
export const createRedisRotation = ({
  redis,
  ask,
  layout,
}: NotifyDeps): Pick<RotationStore, 'swapAnswerKey'> => {
  const { client } = redis

  return {
    async swapAnswerKey(entryId, old, next) {
      // An id does not say in which partition its entry is.
      const found = await Promise.all(
        ALL.map(async (p) => {
          const { entries } = layout.partition(p)
          return { entries, value: await ask(() => client.hget(entries, entryId)) }
        }),
      )
      for (const { entries, value } of found) {
        if (value === null) continue
        const [place, json] = split(value)
        const entry = parsed('outbox', json)
        if (entry?.task.kind !== 'response' || entry.task.key !== old) continue
        const swapped = `${place} ${written('outbox', { ...entry, task: { ...entry.task, key: next } })}`
        await ask(() => redis.script(swapEntryScript, [entries], [entryId, value, swapped]))
      }
    },
  }
}
