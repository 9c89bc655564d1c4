/** Rows whose bits turn while the store is in use: who reads one gets an error, the log has the table, the rest goes on. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Log } from '../../../src/platform/telemetry.ts'
import { openLmdb } from '../../../src/storage/lmdb/open.ts'
import { become, entry, record, subscription, T } from '../../contract/notify-samples.ts'
import { client, hex, message, textsOf, topic } from '../../contract/relay-samples.ts'
import { turnText } from '../flips/bits.ts'

let path: string
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'belfry-damaged-'))
})
afterEach(() => rm(path, { recursive: true, force: true }))

const turn = (text: string, bits?: number): void =>
  expect(turnText(join(path, 'data.mdb'), text, bits)).toBeGreaterThan(0)

const listen = () => {
  const said: string[] = []
  const keep: Log['warn'] = (_, sentence) => void said.push(sentence)
  const log: Log = { debug() {}, info() {}, warn: keep, error: keep }
  return { log, said }
}

const live = { publishedAt: T, expiresAt: T + 1_000 }

it('a message is not served, and the others are', async () => {
  const { log, said } = listen()
  await using stores = await openLmdb({ path, log })
  const { relay } = stores
  const [bad, good] = [topic('bad'), topic('good')]
  await relay.subscribe(client('a'), [bad, good], { now: T })
  await relay.publish([message(bad, 'this one turns', live), message(good, 'this one stays', live)])
  turn('this one turns')
  const damaged = /the table relay\.messages is damaged/
  await expect(relay.message(bad, hex('this one turns'), T)).rejects.toThrow(damaged)
  await expect(textsOf(relay, client('a'), bad, { now: T })).rejects.toThrow(damaged)
  expect(await textsOf(relay, client('a'), good, { now: T })).toEqual(['this one stays'])
  expect(said.filter((one) => damaged.test(one))).toHaveLength(1)
  // A sweep passes over it, and does not come back to it.
  expect(await relay.sweep(T + 2_000, 100)).toBe(2)
  expect(await relay.sweep(T + 2_000, 100)).toBe(0)
})

it('an entry of the outbox holds up none that comes after it', async () => {
  const { log, said } = listen()
  await using stores = await openLmdb({ path, log })
  const { notify } = stores
  await become(notify, 'account', record([subscription('s')]))
  const { version, record: kept } = await notify.account('account')
  const outbox = ['first', 'second', 'third'].map((id) => entry(`entry ${id}`))
  await notify.commit({ accountKey: 'account', expectedVersion: version, record: kept, outbox })
  turn('entry second')
  const take = { worker: 'w', limit: 10, now: T, until: T + 1 }
  expect((await notify.takeOutbox(take)).map(({ id }) => id)).toEqual(['entry first', 'entry third'])
  expect(await notify.takeOutbox(take)).toEqual([])
  expect(said.filter((one) => /the table notify\.outbox is damaged/.test(one))).toHaveLength(1)
})

it('a job holds up none that comes after it', async () => {
  const { log } = listen()
  await using stores = await openLmdb({ path, log })
  const { jobQueue } = stores
  const job = (id: string, at: number) => ({
    queue: 'q',
    id,
    group: 'g',
    at,
    expiresAt: T + 10_000,
    attempts: 0,
    body: { text: `the text of ${id}` },
  })
  await jobQueue.add([job('one', T), job('two', T + 1), job('three', T + 2)])
  turn('the text of one')
  const lease = { queue: 'q', limit: 10, now: T + 5, until: T + 1_000 }
  expect((await jobQueue.take(lease)).map(({ id }) => id)).toEqual(['two', 'three'])
  expect(await jobQueue.take(lease)).toEqual([])
})

it('one bit is turned back when the store is opened again, two refuse it', async () => {
  const text = 'an answer that stays'
  const publish = async () => {
    await using stores = await openLmdb({ path })
    await stores.relay.publish([message(topic('one'), text, live)])
  }
  await publish()
  turn(text)
  const { log, said } = listen()
  {
    await using stores = await openLmdb({ path, log })
    expect((await stores.relay.message(topic('one'), hex(text), T))?.message).toBe(text)
    expect(said).toEqual([expect.stringContaining('of the table relay.messages had turned')])
  }
  turn(text, 2)
  await expect(openLmdb({ path })).rejects.toThrow('a row of the table relay.messages has another checksum')
})
