import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AppRecord, OutboxEntry } from '../../src/notify/store/store.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import { app, become, DAY, entry, record, T, watcher } from './notify-samples.ts'

/** The app with its keys replaced, the old ones behind them. */
const rotated = (old: AppRecord, generation: string): AppRecord => {
  const { authenticationSeed, authenticationKey, subscribePrivateKey, subscribeKey, subscribeTopic } = old
  const left = { authenticationSeed, authenticationKey, subscribePrivateKey, subscribeKey, subscribeTopic }
  return {
    ...old,
    authenticationSeed: `seed ${generation}`,
    subscribePrivateKey: `key ${generation}`,
    subscribeTopic: `topic ${generation}`,
    previousKeys: [{ ...left, until: T + DAY }],
  }
}

const waiting = (id: string, key: string): OutboxEntry =>
  entry(id, {
    task: { kind: 'response', topic: `t ${id}`, key, tag: 4001, rpcId: '1', signer: null, claims: {} },
  })

/** Replacing keys: of the server, of apps, at rest. */
export const notifyRotationContract = (engine: Engine): void => {
  describe(`changing keys in the notify store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.notify
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    it('has no server keys before there are any, and then those that were kept', async () => {
      expect(await store().storedServerKeys()).toBeUndefined()
      await store().serverKeys({ relay: 'r' })
      expect(await store().storedServerKeys()).toEqual({ relay: 'r' })
    })

    it('lets one of many replace the server keys', async () => {
      const first = await store().serverKeys({ relay: 'r', subscribe: 'first' })
      const outcomes = await Promise.all(
        Array.from({ length: 20 }, (_, at) =>
          store().swapServerKeys(first, { ...first, subscribe: `${at}` }),
        ),
      )
      expect(outcomes.filter(Boolean)).toHaveLength(1)
      await stores.reopen()
      expect(await store().storedServerKeys()).toEqual({ relay: 'r', subscribe: `${outcomes.indexOf(true)}` })
      expect(await store().swapServerKeys(first, { relay: 'other' })).toBe(false)
    })

    it('replaces an app with the topics that lead to it, if nobody was faster', async () => {
      const first = await store().createApp(app('app.example'))
      const second = rotated(first, 'two')
      expect(await store().swapApp(first, second)).toBe(true)
      expect(await store().swapApp(first, rotated(first, 'late'))).toBe(false)
      expect(await store().app('app.example')).toEqual(second)
      expect(await store().appByTopic('topic two')).toEqual(second)
      expect(await store().appByTopic(first.subscribeTopic)).toEqual(second)
      expect(await store().appByTopic('topic late')).toBeUndefined()
      const { previousKeys: _, ...alone } = second
      expect(await store().swapApp(second, alone)).toBe(true)
      expect(await store().appByTopic('topic two')).toEqual(alone)
      expect(await store().appByTopic(first.subscribeTopic)).toBeUndefined()
    })

    it('does not bring back an app that was described meanwhile', async () => {
      const first = await store().createApp(app('app.example'))
      const { url, icons, types, listed } = first
      await store().describeApp('app.example', { name: 'New', description: '', url, icons, types, listed })
      expect(await store().swapApp(first, rotated(first, 'two'))).toBe(false)
      expect((await store().app('app.example'))?.name).toBe('New')
    })

    it('finds an app that came with former keys by all of its topics', async () => {
      const both = rotated(app('app.example'), 'two')
      await store().createApp(both)
      expect(await store().appByTopic('subscribe topic of app.example')).toEqual(both)
      expect(await store().appByTopic('topic two')).toEqual(both)
    })

    it('replaces the key of a waiting answer, also of one that a worker holds, and nothing else of it', async () => {
      const outbox = [waiting('a', 'old'), waiting('b', 'another'), entry('c')]
      await become(store(), 'eip155:0xabc', record([], [watcher('did:key:w')]), { outbox })
      const take = (now: number) => store().takeOutbox({ worker: 'w', limit: 10, now, until: now + 1_000 })
      expect(await take(T)).toHaveLength(3)
      for (const id of ['a', 'b', 'c', 'nobody']) await store().swapAnswerKey(id, 'old', 'new')
      expect(await take(T)).toHaveLength(0)
      expect((await take(T + 1_000)).sort((one, other) => (one.id < other.id ? -1 : 1))).toEqual([
        waiting('a', 'new'),
        outbox[1],
        outbox[2],
      ])
    })

    it('keeps which of our keys a watch was addressed to', async () => {
      const watchers = [watcher('did:key:a', { serverKey: 'did:key:ours' }), watcher('did:key:b')]
      await become(store(), 'eip155:0xabc', record([], watchers))
      await stores.reopen()
      expect((await store().account('eip155:0xabc')).record.watchers).toEqual(watchers)
    })
  })
}
