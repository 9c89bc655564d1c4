/** One topic, as its operator looks at it and clears it. */
import { createReporting, type RelayAdmin } from '../../../relay/store-admin.ts'
import type { RedisConnection } from '../connection.ts'
import { relayClear } from '../lua/relay/clear.ts'
import { scanPairs } from '../scan.ts'
import { list, text } from '../script.ts'
import { discardAll } from './publish.ts'
import { cursorOfRow, decodeHead, hash, isSubscribedRow, lastOfHead, relayKeys } from './rows.ts'

/** Fields of a topic that are asked for together. */
const FIELDS_AT_ONCE = 500
/** Of a text, in front of the message: its times, its tag and who published it. */
const TEXT_HEAD_BYTES = 2_048

export const createRedisRelayAdmin = (redis: RedisConnection): RelayAdmin => {
  const { client } = redis
  const keys = relayKeys(redis.prefix)
  return {
    async report(topicText, now) {
      const topic = hash(topicText)
      const key = keys.topic(topic)
      const found = createReporting(topicText)
      const last = lastOfHead(await redis.one(() => client.hget(key, 'h')))
      for await (const pairs of scanPairs((cursor) => client.hscan(key, cursor, 'COUNT', FIELDS_AT_ONCE))) {
        const live: { id: string; size: number }[] = []
        for (const [field, row] of pairs) {
          if (field.startsWith('c')) {
            found.member(field.slice(1), isSubscribedRow(row), Math.max(0, last - cursorOfRow(row)))
          }
          const [expiresAt, size, , id = ''] = row.split(' ')
          if (/^\d+$/.test(field) && Number(expiresAt) > now) live.push({ id, size: Number(size) })
        }
        const texts = await redis.batch(() =>
          live.map(({ id }) => client.getrange(keys.text(topic, id), 0, TEXT_HEAD_BYTES)),
        )
        for (const [at, { size }] of live.entries()) {
          const head = texts[at]
          if (!head) continue
          const message = decodeHead(head, topic)
          found.message(message, size, message.publishedAt)
        }
      }
      return found.report()
    },

    async clear(topicText, { after, limit, publisher = '', payer }) {
      const topic = hash(topicText)
      const answer = await redis.one(() =>
        redis.script(
          relayClear,
          [keys.topic(topic)],
          [after, limit, publisher, ...(payer === undefined ? [] : [payer])],
        ),
      )
      const [next, ...pairs] = list(answer)
      await discardAll(redis, keys, [{ topic, pairs }])
      return { removed: pairs.length / 2, next: text(next) === '' ? undefined : Number(next) }
    },
  }
}
