import { isDeepStrictEqual } from 'node:util'
import type { RotationStore } from '../../../notify/store/store.ts'
import { name, number } from '../../bytes.ts'
import { topicsOf } from '../../rows/app-topics.ts'
import type { Env } from '../env.ts'
import { KEYS } from './apps.ts'
import type { Tables } from './tables.ts'

/** Replacing keys. */
export const createLmdbRotation = (env: Env, tables: Tables): RotationStore => ({
  async storedServerKeys() {
    return tables.server.get(KEYS)
  },

  async swapServerKeys(old, next) {
    return env.transaction(() => {
      if (!isDeepStrictEqual(tables.server.get(KEYS), old)) return false
      tables.server.put(KEYS, next)
      return true
    })
  },

  async swapApp(old, next) {
    const at = name(old.domain)
    const [before, after] = [topicsOf(old), topicsOf(next)]
    const left = before.filter((topic) => !after.includes(topic)).map(name)
    const held = after.map(name)
    return env.transaction(() => {
      if (!isDeepStrictEqual(tables.apps.get(at), old)) return false
      tables.apps.put(at, next)
      for (const topic of held) tables.appTopics.put(topic, next.domain)
      for (const topic of left) tables.appTopics.remove(topic)
      return true
    })
  },

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
