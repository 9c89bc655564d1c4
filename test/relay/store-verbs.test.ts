/** The spike of the mailboxes over the port keeps what the contract of the relay's store says. */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { DAY_MS } from '../../src/platform/units.ts'
import { createMailboxes } from '../../src/relay/store/verbs/mailboxes.ts'
import type { MailboxLimits } from '../../src/relay/store.ts'
import { openRedis } from '../../src/storage/redis/open.ts'
import { relayLimitsContract } from '../contract/relay-limits.ts'
import { relayModelContract } from '../contract/relay-model.ts'
import { relayOwnersContract } from '../contract/relay-owners.ts'
import { client, hex, message, topic } from '../contract/relay-samples.ts'
import { relayStoreContract } from '../contract/relay-store.ts'
import { engines } from '../support/engines.ts'
import { isOfThisRun, sharedRedis } from '../support/redis.ts'
import { removeKeys } from '../support/redis-keys.ts'
import type { Engine, TestStores } from '../support/stores.ts'

/** The same stores, of which the mailboxes are those over the port. */
const overPort = (engine: Engine): Engine => ({
  name: `the port on ${engine.name}`,
  async open(options: { mailbox?: MailboxLimits } = {}) {
    const stores = await engine.open(options)
    const { mailbox: limits } = options
    const how = { ...(limits && { limits }), ...(engine.name !== 'LMDB' && { instance: 'one' }) }
    const made = () => ({ ...stores.relay, ...createMailboxes(stores.kv, systemClock, how) })
    let relay = made()
    const reopen = async () => {
      await stores.reopen()
      relay = made()
    }
    const of = (name: string | symbol, there: unknown) =>
      name === 'relay' ? relay : name === 'reopen' ? reopen : there
    return new Proxy<TestStores>(stores, { get: (_, name) => of(name, Reflect.get(stores, name)) })
  },
})

for (const engine of engines.map(overPort)) {
  relayStoreContract(engine)
  relayLimitsContract(engine)
  relayOwnersContract(engine)
  relayModelContract(engine)
}

describe.runIf(isOfThisRun(false))('two processes on one Redis', () => {
  const T = Date.now()
  const [a, alice] = [topic('a'), client('alice')]
  const of = (text: string) => message(a, text, { publishedAt: T, expiresAt: T + DAY_MS })

  it('lose nothing of one topic in which both publish and acknowledge at once', async () => {
    const { url } = await sharedRedis()
    const prefix = `belfry-test-${randomBytes(4).toString('hex')}:`
    await using one = await openRedis({ url, prefix })
    await using other = await openRedis({ url, prefix })
    const here = createMailboxes(one.kv, systemClock, { instance: 'one' })
    const there = createMailboxes(other.kv, systemClock, { instance: 'other' })
    await here.subscribe(alice, [a], { now: T })
    const texts = Array.from({ length: 300 }, (_, nth) => `${nth}`)
    const publish = async (nth: number) => {
      const [store, text] = [nth % 2 ? here : there, texts[nth] ?? '']
      const [publication] = await store.publish([of(text)])
      if (publication?.outcome !== 'stored') throw new Error('not stored')
      // The other one acknowledges every third.
      if (nth % 3 === 0) await (nth % 2 ? there : here).acknowledge(alice, [{ topic: a, id: hex(text) }])
      return publication.seq
    }
    const seqs: number[] = []
    for (let at = 0; at < texts.length; at += 20)
      seqs.push(...(await Promise.all(texts.slice(at, at + 20).map((_, nth) => publish(at + nth)))))
    expect(new Set(seqs).size).toBe(texts.length)
    const page = { after: 0, limit: 1_000, maxBytes: 1_000_000, now: T }
    const left = texts.filter((_, nth) => nth % 3 > 0)
    for (const store of [here, there]) {
      const { messages } = await store.pending(alice, a, page)
      expect(messages.map(({ message: text }) => text).sort()).toEqual([...left].sort())
      expect(messages.map(({ seq }) => seq)).toEqual(messages.map(({ seq }) => seq).sort((x, y) => x - y))
    }
    expect((await there.publish([of('7')]))[0]?.outcome).toBe('duplicate')
    await removeKeys(url, prefix)
  })
})
