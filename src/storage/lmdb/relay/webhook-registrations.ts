import { createHash } from 'node:crypto'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { RelayStore, Watch, WatchName } from '../../../relay/store.ts'
import { endOf, named } from '../../bytes.ts'
import { isOlderWord, withStanding } from '../../rows/webhook-registration.ts'
import { ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

type Verbs = Pick<RelayStore, 'watch' | 'changeWatch' | 'watches' | 'hasWatches' | 'onWatch'>

/** Webhooks that get what happens to a client's messages. They are few: expired ones are found by looking at all. */
export const createWatches = (
  env: Env,
): { verbs: Verbs; sweep: (now: number, limit: number) => Promise<void> } => {
  const table: Rows<Watch> = env.openDB({ name: 'relay.watches', ...ROWS })
  const at = ({ clientId, service, url }: WatchName) =>
    named(clientId, createHash('sha256').update(`${service}\0${url}`).digest())
  const of = (clientId: string, now: number): Watch[] => {
    const range = { start: named(clientId), end: endOf(named(clientId)) }
    return [...table.getRange(range)].map(({ value }) => value).filter(({ expiresAt }) => expiresAt > now)
  }

  const verbs: Verbs = {
    async watch(watch, { now, limit }) {
      const where = at(watch)
      const refusal = await env.transaction(() => {
        const all = of(watch.clientId, now)
        const before = all.find((known) => at(known).equals(where))
        if (before && isOlderWord(watch, before)) return 'jwt_expired'
        const isEnded = watch.state === 'ended'
        const others = all.filter((known) => known !== before && (known.state === 'ended') === isEnded)
        if (others.length >= limit) {
          if (!isEnded) return 'rate_limited'
          const [first] = others.toSorted((one, other) => one.expiresAt - other.expiresAt)
          if (first) table.remove(at(first))
        }
        table.put(where, withStanding(watch, before))
        return undefined
      })
      if (refusal === 'jwt_expired') throw new ProtocolError(refusal, 'a newer one is known')
      if (refusal) throw new ProtocolError(refusal, `more than ${limit} webhooks`)
    },
    async changeWatch(watchName, change) {
      const where = at(watchName)
      await env.transaction(() => {
        const watch = table.get(where)
        if (!watch || watch.state === 'ended') return
        if (change === 'gone') table.remove(where)
        else table.put(where, { ...watch, ...change })
      })
    },
    async watches(clientIds, now, withEnded = false) {
      const all = clientIds.flatMap((clientId) => of(clientId, now))
      return withEnded ? all : all.filter(({ state }) => state !== 'ended')
    },
    async hasWatches(now) {
      for (const { value } of table.getRange({}))
        if (value.expiresAt > now && value.state !== 'ended') return true
      return false
    },
    onWatch() {
      // One process: the caller that changes a watch knows.
      return { [Symbol.dispose]: () => {} }
    },
  }

  return { verbs, sweep: createSweep(env, table) }
}

/** Removes at most `limit` watches that have expired. */
const createSweep =
  (env: Env, table: Rows<Watch>) =>
  async (now: number, limit: number): Promise<void> => {
    const expired: Buffer[] = []
    for (const { key, value } of table.getRange({})) {
      if (value.expiresAt <= now) expired.push(Buffer.from(key))
      if (expired.length === limit) break
    }
    if (expired.length === 0) return
    await env.transaction(() => {
      // One may have been renewed meanwhile.
      for (const key of expired) if ((table.get(key)?.expiresAt ?? now) <= now) table.remove(key)
    })
  }
