/** The way from a fan-out to the worker of its process: room, order, and what happens without a worker. */
import { expect, it } from 'vitest'
import {
  createDirectSends,
  type DirectBatch,
  type Reservation,
} from '../../../src/notify/outbox/direct-sends.ts'
import { manualClock } from '../../support/clock.ts'

const START = 1_000_000
const batchOf = (id: string): DirectBatch => ({
  entries: [],
  notification: {
    ...{ id, projectId: 'p', domain: 'd', type: 't', title: '', body: '', icon: null, url: null },
    ...{ createdAt: 0, deliverBy: 1, expiresAt: 1 },
  },
  targets: [],
})

const open = () => {
  const clock = manualClock(START)
  const queue = createDirectSends(clock)
  const returned: string[] = []
  const worker = { canSend: true, wakes: 0 }
  const room = queue.open({
    canSend: () => worker.canSend,
    name: 'w',
    leaseMs: 30_000,
    wake: () => {
      worker.wakes += 1
    },
    giveBack: ({ notification: { id } }) => void returned.push(id),
  })
  const reserve = async (): Promise<Reservation> => {
    const one = await queue.reserve()
    if (!one) throw new Error('there is no room')
    return one
  }
  const next = () => queue.next()?.notification.id
  return { clock, queue, returned, worker, room, reserve, next }
}

it('there is no room without a worker, and none while it can send nothing', async () => {
  const clock = manualClock(START)
  expect(await createDirectSends(clock).reserve()).toBeUndefined()
  const { queue, worker } = open()
  worker.canSend = false
  expect(await queue.reserve()).toBeUndefined()
  worker.canSend = true
  expect((await queue.reserve())?.lease).toEqual({ worker: 'w', until: START + 30_000 })
})

it('batches come in the order in which they were committed, and wake the worker', async () => {
  const { reserve, next, worker } = open()
  const [a, b] = [await reserve(), await reserve()]
  b.send(batchOf('b'))
  a.send(batchOf('a'))
  expect(worker.wakes).toBe(2)
  expect([next(), next(), next()]).toEqual(['b', 'a', undefined])
})

it('a batch waits until what was added before its room has been taken, whatever is added later', async () => {
  const { queue, reserve, next } = open()
  queue.added()
  const room = await reserve()
  room.send(batchOf('n'))
  queue.added()
  expect(next()).toBeUndefined()
  const taken = queue.takes()
  queue.added()
  taken(false)
  expect(queue.hasAdditions).toBe(true)
  expect(next()).toBe('n')
})

it('while many entries wait there is no room, so that nothing overtakes them', async () => {
  const { queue, reserve, next } = open()
  queue.added()
  const room = await reserve()
  room.send(batchOf('n'))
  queue.takes()(true)
  expect(next()).toBeUndefined()
  expect(await queue.reserve()).toBeUndefined()
  queue.takes()(false)
  expect(next()).toBe('n')
  expect(queue.hasAdditions).toBe(false)
  expect(await queue.reserve()).toBeDefined()
})

it('who finds no room waits until a batch is over, for a second at most', async () => {
  const { clock, queue, reserve, next } = open()
  const rooms: Reservation[] = []
  for (let at = 0; at < 6; at++) rooms.push(await reserve())
  const [first, second] = [queue.reserve(), queue.reserve()]
  rooms[0]?.send(batchOf('n'))
  expect(next()).toBe('n')
  queue.ended()
  expect(await first).toBeDefined()
  await clock.advance(1_000)
  expect(await second).toBeUndefined()
  rooms[1]?.release()
  expect(await queue.reserve()).toBeDefined()
})

it('only so many callers wait', async () => {
  const { queue, reserve, room } = open()
  for (let at = 0; at < 6; at++) await reserve()
  const waiting = Array.from({ length: 100 }, () => queue.reserve())
  expect(await queue.reserve()).toBeUndefined()
  room[Symbol.dispose]()
  expect(await Promise.all(waiting)).toEqual(Array(100).fill(undefined))
})

it('what comes when the worker has ended is given back', async () => {
  const { queue, reserve, returned, room } = open()
  const [queued, late] = [await reserve(), await reserve()]
  queued.send(batchOf('queued'))
  room[Symbol.dispose]()
  expect(returned).toEqual(['queued'])
  late.send(batchOf('late'))
  expect(returned).toEqual(['queued', 'late'])
  expect(await queue.reserve()).toBeUndefined()
})
