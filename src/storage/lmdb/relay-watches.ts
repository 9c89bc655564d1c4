import { createHash } from 'node:crypto'
import { ProtocolError } from '../../protocol/errors.ts'
import type { RelayStore, Watch } from '../../relay/store.ts'
import { endOf, named, ROWS, type Rows } from './bytes.ts'
import type { Env } from './env.ts'

type Verbs = Pick<RelayStore, 'watch' | 'unwatch' | 'watches' | 'hasWatches' | 'onWatch'>

/** Webhooks that are told of a client's messages. They are few: what is expired is found by looking at all of them. */
export const createWatches = (
  env: Env,
): { verbs: Verbs; sweep: (now: number, limit: number) => Promise<void> } => {
  const table: Rows<Watch> = env.openDB({ name: 'relay.watches', ...ROWS })
  const at = ({ clientId, service, url }: Pick<Watch, 'clientId' | 'service' | 'url'>) =>
    named(clientId, createHash('sha256').update(`${service}\0${url}`).digest())
  const of = (clientId: string, now: number): Watch[] => {
    const range = { start: named(clientId), end: endOf(named(clientId)) }
    return [...table.getRange(range)].map(({ value }) => value).filter(({ expiresAt }) => expiresAt > now)
  }

  const verbs: Verbs = {
    async watch(watch, { now, limit }) {
      const where = at(watch)
      const isKept = await env.transaction(() => {
        const others = of(watch.clientId, now).filter((known) => !at(known).equals(where))
        if (others.length >= limit) return false
        table.put(where, watch)
        return true
      })
      if (!isKept) throw new ProtocolError('rate_limited', `more than ${limit} webhooks`)
    },
    async unwatch(name) {
      const where = at(name)
      await env.transaction(() => void table.remove(where))
    },
    async watches(clientIds, now) {
      return clientIds.flatMap((clientId) => of(clientId, now))
    },
    async hasWatches(now) {
      for (const { value } of table.getRange({})) if (value.expiresAt > now) return true
      return false
    },
    onWatch() {
      // One process: whoever changes a watch knows.
      return { [Symbol.dispose]: () => {} }
    },
  }

  return {
    verbs,
    async sweep(now, limit) {
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
    },
  }
}
