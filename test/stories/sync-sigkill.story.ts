import { expect, it } from 'vitest'
import { createArchiveClient } from '../../src/archive/client.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { openSync } from '../../src/sdk/sync.ts'
import { memoryStorage } from '../../src/sync/storage.ts'
import { eventually } from '../support/eventually.ts'
import { startFleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { relayAs, temporaryHome } from '../support/story.ts'

const ROUNDS = crowd(5, 2)
const MESSAGES_A_ROUND = 400
const store = 'settings'
const topic = 'cd'.repeat(32)

/** Ids of everything that the archive has of the topic. */
const archivedIds = async (url: string): Promise<Set<string>> => {
  const key = generateSigningKey()
  const archive = createArchiveClient({ clock: systemClock, fetch }, { url, relayUrl: url, key })
  const ids = new Set<string>()
  for (let origin: string | undefined; ; ) {
    const page = await archive.messages(topic, origin)
    for (const { id } of page?.messages ?? []) ids.add(id)
    origin = page?.next
    if (origin === undefined) return ids
  }
}

const registered = async (url: string) => {
  const key = generateSigningKey()
  await createArchiveClient({ clock: systemClock, fetch }, { url, relayUrl: url, key }).register([5000])
  return key
}

it('the archive has every message that was acknowledged to its publisher, over SIGKILLs', {
  timeout: 120_000,
}, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  let server = await startServerProcess(home.path, { port })
  try {
    const key = await registered(server.url)
    await using publisher = relayAs(server.wsUrl, key)
    const acknowledged: string[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const before = acknowledged.length
      const all = Array.from({ length: MESSAGES_A_ROUND }, async (_, at) => {
        const message = `m${round}x${at}`
        await publisher.publish({ topic, message, tag: 5000, ttl: 300 })
        acknowledged.push(message)
      })
      await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 20))
      await server.end('SIGKILL')
      server = await startServerProcess(home.path, { port })
      const ids = await archivedIds(server.url)
      for (const message of acknowledged) expect(ids).toContain(messageIdOf(message))
      await Promise.all(all)
    }
    expect((await archivedIds(server.url)).size).toBe(ROUNDS * MESSAGES_A_ROUND)
  } finally {
    await server.end('SIGKILL')
  }
})

it('devices at different relay processes share an archive that is in a third one, over a kill of each', {
  timeout: 120_000,
}, async () => {
  await using redis = await startRedis({ appendonly: true })
  await using fleet = await startFleet(redis.url)
  const [first, second] = fleet.relays
  const [archive, other] = fleet.notifies
  if (!first || !second || !archive || !other) throw new Error('there are two of each')
  const owner = newOwner()
  const where = { account: owner.account, store }
  const device = async (relayUrl: string, archiveUrl: string) => {
    const sync = await openSync({ relayUrl, archiveUrl, storage: memoryStorage() })
    const { account } = owner
    await sync.register({ account, signature: owner.sign(await sync.getMessage({ account })) })
    await sync.create(where)
    return sync
  }
  await using phone = await device(first.wsUrl, archive.url)
  await using laptop = await device(second.wsUrl, other.url)
  await Promise.all([phone.caughtUp(), laptop.caughtUp()])
  for (let at = 0; at < 40; at++) {
    const sync = at % 2 === 0 ? phone : laptop
    await sync.set({ ...where, key: `k${at % 9}`, value: `${at}` })
    if (at === 10) await first.restart()
    if (at === 20) await archive.restart()
    if (at === 30) await second.restart()
  }
  await Promise.all([phone.published(), laptop.published()])
  await using late = await device(second.wsUrl, archive.url)
  await late.caughtUp()
  await eventually(() => {
    expect(laptop.export(where)).toBe(phone.export(where))
    expect(late.export(where)).toBe(phone.export(where))
  })
  expect(late.entries(where)).toHaveLength(9)
})
