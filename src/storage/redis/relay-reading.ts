import type { RelayStore, StoredMessage } from '../../relay/store.ts'
import type { RedisConnection } from './connection.ts'
import { type Ask, createGather } from './gather.ts'
import { decodeText, hash, name, type RelayKeys } from './relay-rows.ts'
import { relayPending } from './scripts/relay-pending.ts'
import { list, text, whole } from './scripts.ts'

/** Clients whose mailboxes one script call reads, of a page each. */
const READERS = 16
/** Texts that one command reads. */
const TEXTS = 256

interface Reader {
  clientId: string
  topic: string
  after: number
  limit: number
  maxBytes: number
  now: number
}

/**
 * How mailboxes are read. What another process published wakes all its readers here at once: the topic is then asked
 * once for what waits for each of them, and once for the texts, which are the same for most.
 */
export const createReading = (redis: RedisConnection, ask: Ask, keys: RelayKeys): RelayStore['pending'] => {
  const waitingFor = createGather(
    { groupOf: ({ topic }: Reader) => topic, most: READERS },
    async (readers): Promise<unknown[]> => {
      const key = keys.topic(readers[0]?.topic ?? '')
      const args = readers.flatMap(({ clientId, after, limit, maxBytes, now }) => {
        return [clientId, after, limit, maxBytes, now]
      })
      return list(await ask(() => redis.script(relayPending, [key], args)))
    },
  )
  const textsOf = createGather(
    {
      groupOf: ({ topic }: { topic: string; texts: string[] }) => topic,
      most: TEXTS,
      weightOf: ({ texts }) => texts.length,
    },
    async (wanted) => {
      const all = [...new Set(wanted.flatMap(({ texts }) => texts))]
      const rows = await ask(() => redis.client.mget(...all))
      const byKey = new Map(all.map((key, at) => [key, rows[at] ?? null]))
      return wanted.map(({ texts }) => texts.map((key) => byKey.get(key) ?? null))
    },
  )

  return async (clientId, topic, { after, limit, maxBytes, now }) => {
    hash(topic)
    for (let from = after; ; ) {
      const reader = { clientId: name(clientId), topic, after: from, limit, maxBytes, now }
      const [more, ...pairs] = list(await waitingFor(reader))
      const hasMore = more === 1
      if (pairs.length === 0) return { messages: [], hasMore }
      const seqs = pairs.filter((_, at) => at % 2 === 0).map(whole)
      const texts = pairs.filter((_, at) => at % 2 === 1).map((id) => keys.text(topic, text(id)))
      const rows = await textsOf({ topic, texts })
      const messages: StoredMessage[] = []
      for (const [at, row] of rows.entries()) {
        // Gone or stored anew since the script ran.
        const message = row === null ? undefined : decodeText(row, topic)
        if (message && message.seq === seqs[at]) messages.push(message)
      }
      if (messages.length > 0 || !hasMore) return { messages, hasMore }
      from = seqs.at(-1) ?? from
    }
  }
}
