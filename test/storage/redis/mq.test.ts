import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { QueueName } from '../../../src/mq/store.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import type { Stores } from '../../../src/storage/stores.ts'
import { eventually } from '../../support/eventually.ts'
import { sharedServers } from '../../support/redis.ts'

const HOUR = 3_600_000
let files = 0

for (const [name, server] of sharedServers) {
  describe(`queues of two processes on ${name}`, () => {
    let one: Stores
    let two: Stores
    const now = Date.now()
    const queue = (reader: string): QueueName => ({ domain: 'default', hashDID: reader })
    const message = (id: string) => ({ id, message: `text of ${id}`, expiresAt: now + HOUR })
    const limits = { now, most: 100 }

    beforeEach(async () => {
      const { url } = await server()
      files += 1
      const prefix = `belfry-mq-${process.pid}-${files}:`
      one = await openRedis({ url, prefix })
      two = await openRedis({ url, prefix })
    })
    afterEach(async () => {
      await one[Symbol.asyncDispose]()
      await two[Symbol.asyncDispose]()
    })

    it('tell each other what was put, every queue', async () => {
      const told: QueueName[] = []
      using _listening = two.mq.onPut((put) => void told.push(put))
      // The first ones may come before the subscription stands.
      await eventually(async () => {
        await one.mq.put(queue('first'), message(`${Math.random()}`), limits)
        expect(told).toContainEqual(queue('first'))
      })
      const readers = Array.from({ length: 40 }, (_, at) => `reader-${at}`)
      // A cluster subscribes to the channels one by one.
      await eventually(async () => {
        for (const reader of readers) {
          if (!told.some(({ hashDID }) => hashDID === reader))
            await one.mq.put(queue(reader), message(`${Math.random()}`), limits)
        }
        expect(readers.filter((reader) => !told.some(({ hashDID }) => hashDID === reader))).toEqual([])
      })
    })

    it('give one message to one of them, and keep the limit together', async () => {
      const kept = await Promise.all(
        Array.from({ length: 40 }, (_, at) =>
          (at % 2 ? one : two).mq.put(queue('r'), message(`m${at}`), { now, most: 15 }),
        ),
      )
      expect(kept.filter(Boolean)).toHaveLength(15)
      const taken = await Promise.all(
        Array.from({ length: 40 }, (_, at) => (at % 2 ? one : two).mq.take(queue('r'), { now })),
      )
      const ids = taken.flatMap((each) => (each ? [each.id] : []))
      expect(ids).toHaveLength(15)
      expect(new Set(ids).size).toBe(15)
    })

    it('sweep at the same time, and forget no queue', async () => {
      const soon = { ...message('soon'), expiresAt: now + 5 }
      for (let at = 0; at < 30; at++) {
        await one.mq.put(queue(`r${at}`), { ...soon, id: `soon${at}` }, limits)
        await two.mq.put(queue(`r${at}`), { ...message(`later${at}`), expiresAt: now + 500 }, limits)
      }
      const both = async (at: number) => (await one.mq.sweep(at, 1_000)) + (await two.mq.sweep(at, 1_000))
      const [a, b] = await Promise.all([one.mq.sweep(now + 5, 1_000), two.mq.sweep(now + 5, 1_000)])
      expect(a + b + (await both(now + 5))).toBe(30)
      expect(await both(now + 500)).toBe(30)
      expect(await both(now + HOUR)).toBe(0)
    })
  })
}
