import { isDeepStrictEqual } from 'node:util'
import type { AppRecord, OutboxEntry, RotationStore, Sealed } from '../../../notify/store/store.ts'
import { topicsOf } from '../../rows/app-topics.ts'
import { swapScript } from '../lua/notify/accounts/swap.ts'
import { swapAppScript } from '../lua/notify/accounts/swap-app.ts'
import { swapEntryScript } from '../lua/notify/accounts/swap-entry.ts'
import { whole } from '../script.ts'
import { type NotifyDeps, parsed, split } from './deps.ts'
import { ALL } from './rows/layout.ts'

/**
 * Replacing keys. Each call bears repetition: a swap whose answer got lost finds the next value in the place of the
 * old one when it is sent again, and has succeeded.
 */
export const createRedisRotation = ({ redis, ask, layout }: NotifyDeps): RotationStore => {
  const { client } = redis

  return {
    async storedServerKeys() {
      return parsed<Record<string, Sealed>>(await ask(() => client.get(layout.server)))
    },

    async swapServerKeys(old, next) {
      const stored = await ask(() => client.get(layout.server))
      if (stored === null || !isDeepStrictEqual(parsed(stored), old)) return false
      const args = [stored, JSON.stringify(next)]
      return whole(await ask(() => redis.script(swapScript, [layout.server], args))) === 1
    },

    async swapApp(old, next) {
      const app = layout.app(old.domain)
      const stored = await ask(() => client.get(app))
      if (stored === null || !isDeepStrictEqual(parsed<AppRecord>(stored), old)) return false
      const after = topicsOf(next)
      const left = topicsOf(old).filter((topic) => !after.includes(topic))
      const keys = [app, ...[...after, ...left].map(layout.appTopic)]
      const args = [stored, JSON.stringify(next), next.domain, after.length]
      return whole(await ask(() => redis.script(swapAppScript, keys, args))) === 1
    },

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
        const entry = parsed<OutboxEntry>(json)
        if (entry?.task.kind !== 'response' || entry.task.key !== old) continue
        const swapped = `${place} ${JSON.stringify({ ...entry, task: { ...entry.task, key: next } })}`
        await ask(() => redis.script(swapEntryScript, [entries], [entryId, value, swapped]))
      }
    },
  }
}
