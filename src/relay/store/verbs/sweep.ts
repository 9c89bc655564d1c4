/** Removes what has expired, topic by topic. */
import type { Verb } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import type { MailboxDeps } from './deps.ts'
import { OpenTopic } from './open-topic.ts'
import { dueKey, MAILBOX_TABLES, rowsOfTopic, TOPIC_PARTITIONS } from './rows.ts'

/** `key`: of the entry in the list of what is due. Answers how many messages went. */
const sweepTopic = (topicText: string, key: Buffer, now: number, limit: number) =>
  function* (): Verb<number> {
    const rows = rowsOfTopic(topicText)
    const [{ value }] = yield* ask([rows.row.get()])
    const topic = new OpenTopic(rows, value)
    const swept = yield* topic.dropExpired(now, limit)
    const { soonest, count } = topic.state
    const writes = [rows.due.remove(key), ...(yield* topic.finish())]
    if (count > 0) writes.push(rows.due.put({ key: dueKey(soonest, topicText), value: true }))
    return { answer: swept, writes, isRelief: true }
  }

export const createSweep =
  ({ kv }: MailboxDeps) =>
  async (now: number, limit: number): Promise<number> => {
    // Behind all of this instant.
    const to = Buffer.concat([dueKey(now, 'ff'.repeat(32)), Buffer.from([0])])
    let swept = 0
    for (const partition of TOPIC_PARTITIONS) {
      if (swept >= limit) break
      const [keys] = await read(kv, [MAILBOX_TABLES.DUE.in(partition).keys({ to, limit: limit - swept })])
      for (const key of keys) {
        if (swept >= limit) break
        const topic = key.toString('hex', 8)
        swept += await runOne(kv, partition, now, sweepTopic(topic, key, now, limit - swept))
      }
    }
    return swept
  }
