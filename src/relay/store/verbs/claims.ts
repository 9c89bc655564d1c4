/** Who may deliver which message of a shared subscription, for how long: rows that end with the last process. */

import * as z from 'zod'
import { json } from '../../../storage/codec.ts'
import type { PlacedVerb, Verb } from '../../../storage/kv.ts'
import { ask, defineTable, runOne } from '../../../storage/table.ts'
import type { MailboxStore } from '../../store.ts'
import type { MailboxDeps } from './deps.ts'

const CLAIMS = defineTable({
  name: 'relay.v.claims',
  shape: 'cell',
  codec: json(z.object({ holder: z.string(), until: z.number() })),
  ends: true,
  isVolatile: true,
})

const cellOf = (clientId: string, topic: string, seq: number) =>
  CLAIMS.in(`claim ${topic} ${seq} ${clientId}`)

export const createClaims = (
  { kv }: MailboxDeps,
  hasDone: (clientId: string, topic: string, seq: number) => Promise<boolean>,
): Pick<MailboxStore, 'claim' | 'release'> => {
  const byHolder = new Map<string, Set<ReturnType<typeof cellOf>>>()
  return {
    async claim(clientId, topic, seq, { holder, now, until }) {
      if (await hasDone(clientId, topic, seq)) return false
      const cell = cellOf(clientId, topic, seq)
      const isTaken = await runOne(kv, cell.name.partition, now, function* (): Verb<boolean> {
        const [{ value }] = yield* ask([cell.get()])
        if (value && value.holder !== holder && value.until > now) return { answer: false, writes: [] }
        return { answer: true, writes: [cell.put({ value: { holder, until }, expiresAt: until })] }
      })
      if (!isTaken) return false
      const own = byHolder.get(holder)
      if (own) own.add(cell)
      else byHolder.set(holder, new Set([cell]))
      return true
    },
    async release(holder) {
      const cells = [...(byHolder.get(holder) ?? [])]
      byHolder.delete(holder)
      const verbs = cells.map(
        (cell): PlacedVerb<void> => ({
          partition: cell.name.partition,
          *verb() {
            const [{ value }] = yield* ask([cell.get()])
            return { answer: undefined, writes: value?.holder === holder ? [cell.remove()] : [] }
          },
        }),
      )
      await kv.run(verbs, 0)
    },
  }
}
