/** One topic, as its operator looks at it and clears it. */
import { createReporting, type RelayAdmin } from '../../../relay/store-admin.ts'
import { behind, endOf, hash, key, name, number } from '../../bytes.ts'
import type { Env } from '../env.ts'
import { createMailboxes } from './mailboxes.ts'
import { decodeMessage, expiryOfRow, payerOfRow, publishedBy, sizeOfRow } from './rows.ts'

/** Rows that are read before others run. */
const ROWS_AT_ONCE = 250

export const createLmdbRelayAdmin = (env: Env): RelayAdmin => {
  const { tables, topicOf, drop, writeTopic } = createMailboxes(env)
  const { messages, members } = tables
  const breathe = () => new Promise((resolve) => setImmediate(resolve))

  return {
    async report(topicText, now) {
      const topic = hash(topicText)
      const end = endOf(topic)
      const found = createReporting(topicText)
      const last = topicOf(topic)?.lastSeq ?? 0
      for (let start = topic; ; ) {
        const rows = [...messages.getRange({ start, end, limit: ROWS_AT_ONCE })]
        for (const { key: at, value } of rows) {
          if (expiryOfRow(value) <= now) continue
          const message = decodeMessage(value, topicText, at.readDoubleBE(32))
          found.message(message, sizeOfRow(value), message.publishedAt)
        }
        const lastRow = rows.at(-1)
        if (!lastRow || rows.length < ROWS_AT_ONCE) break
        start = behind(lastRow.key)
        await breathe()
      }
      for (let start = topic; ; ) {
        const rows = [...members.getRange({ start, end, limit: ROWS_AT_ONCE })]
        for (const { key: at, value } of rows) {
          const [subscribed, cursor] = value
          found.member(at.toString('utf8', 32), subscribed === 1, Math.max(0, last - cursor))
        }
        const lastRow = rows.at(-1)
        if (!lastRow || rows.length < ROWS_AT_ONCE) break
        start = behind(lastRow.key)
        await breathe()
      }
      return found.report()
    },

    async clear(topicText, { after, limit, publisher, payer }) {
      const topic = hash(topicText)
      const client = publisher === undefined ? undefined : name(publisher)
      return env.transaction(() => {
        const start = key(topic, number(after + 1))
        const rows = [...messages.getRange({ start, end: endOf(topic), limit })]
        const state = topicOf(topic)
        if (!state) return { removed: 0, next: undefined }
        const due = rows.filter(
          ({ value }) =>
            (!client || publishedBy(value, client)) && (payer === undefined || payerOfRow(value) === payer),
        )
        for (const { key: at, value } of due) drop(topic, state, at.readDoubleBE(32), value)
        if (due.length > 0) writeTopic(topic, state)
        const next = rows.length < limit ? undefined : rows.at(-1)?.key.readDoubleBE(32)
        return { removed: due.length, next }
      })
    },
  }
}
