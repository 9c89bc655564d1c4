import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import type { RedisOptions } from 'ioredis'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { NotifyStore } from '../../../src/notify/store/store.ts'
import {
  DELIVERY_TABLES,
  partitionOf,
  topicOwner,
  watcherOwner,
} from '../../../src/notify/store/verbs/tables.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import type { Kv } from '../../../src/storage/kv.ts'
import { createChannels } from '../../../src/storage/redis/channels.ts'
import { connectRedis, type RedisConnection } from '../../../src/storage/redis/connection.ts'
import { createRedisKv } from '../../../src/storage/redis/kv/engine.ts'
import { createRoomStores } from '../../../src/storage/room-stores.ts'
import {
  become,
  DAY,
  entry,
  handOne,
  held,
  notification,
  record,
  subscription,
  T,
  target,
  watcher,
} from '../../contract/notify-samples.ts'
import { eventually } from '../../support/eventually.ts'
import { sharedServers } from '../../support/redis.ts'

const alice = 'eip155:0xalice'
const bob = 'eip155:0xbob'

/**
 * Calls the listener for each command that the server is given, as a line of its `MONITOR`. On a socket of our own: ioredis takes
 * what another client says just then for an answer to itself.
 */
const watchCommands = (
  { host = '127.0.0.1', port = 6379, username = 'default', password }: RedisOptions,
  listener: (line: string) => void,
): Socket => {
  const socket = connect(port, host)
  if (password) socket.write(`AUTH ${username ?? 'default'} ${password}\r\n`)
  socket.write('MONITOR\r\n')
  createInterface(socket).on('line', listener)
  return socket
}

for (const [name, server] of sharedServers) {
  describe(`several processes' notify stores on ${name}`, () => {
    let count = 0
    let prefix: string
    let connections: RedisConnection[]
    let stores: NotifyStore[]
    let ports: Kv[]
    const store = (at = 0): NotifyStore => {
      const found = stores[at]
      if (!found) throw new Error('no such store')
      return found
    }
    const redis = () => {
      const [first] = connections
      if (!first) throw new Error('not connected')
      return first
    }

    beforeEach(async () => {
      const { url } = await server()
      count += 1
      prefix = `several-${process.pid}-${count}:`
      connections = Array.from({ length: 4 }, () => connectRedis({ url, prefix }))
      ports = connections.map((one, at) =>
        createRedisKv({ redis: one, channels: createChannels(one), instance: `${at}` }),
      )
      stores = ports.map((kv) => createRoomStores(kv, systemClock).notify)
    })
    afterEach(async () => {
      await Promise.all(connections.map((one) => one[Symbol.asyncDispose]()))
    })

    /** All keys of this test, on all nodes. */
    const keys = async (): Promise<string[]> => {
      const { client } = redis()
      await redis().ping()
      const found: string[] = []
      for (const node of 'nodes' in client ? client.nodes('master') : [client]) {
        for (let cursor = '0'; ; ) {
          const [next, some] = await node.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1000)
          found.push(...some)
          cursor = next
          if (cursor === '0') break
        }
      }
      return found.map((key) => key.slice(prefix.length)).sort()
    }
    /** Those that nothing but a sweep removes. */
    const lastingKeys = async (): Promise<string[]> => {
      const all = await keys()
      const left = await Promise.all(all.map((key) => redis().client.pttl(prefix + key)))
      return all.filter((_, at) => left[at] === -1)
    }

    const sweepAll = async (now: number) => {
      while ((await store().sweep(now, 100)) > 0);
    }

    it('asks a single Redis once for all partitions, and a cluster once for each', async () => {
      await eventually(() => expect(redis().spansSlots).toBe(name === 'Redis'))
      const { client } = redis()
      // Before its first call a cluster has no nodes.
      await redis().ping()
      const nodes = 'nodes' in client ? client.nodes('master') : [client]
      // Others use the server, too: what counts are scripts with keys of this test.
      let scripts = 0
      const heard = new Set<string>()
      const monitors = nodes.map(({ options }, at) =>
        watchCommands(options, (line) => {
          if (!line.includes(`"${prefix}`)) return
          if (/ "evalsha" /i.test(line)) scripts++
          const [, mark] = / "echo" "(.*)"$/i.exec(line) ?? []
          if (mark !== undefined) heard.add(`${at} ${mark}`)
        }),
      )
      try {
        // What is said again and again is heard in the end by one who came late.
        const scriptsUpTo = async (mark: string) => {
          await eventually(async () => {
            await Promise.all(nodes.map((node) => node.echo(`${prefix}${mark}`)))
            if (!nodes.every((_, at) => heard.has(`${at} ${prefix}${mark}`))) throw new Error('not yet')
          })
          return scripts
        }
        // A node that does not know the script yet is asked twice.
        await store().outboxSize()
        const before = await scriptsUpTo('before')
        expect(await store().outboxSize()).toBe(0)
        expect((await scriptsUpTo('after')) - before).toBe(name === 'Redis' ? 1 : 16)
      } finally {
        for (const monitor of monitors) monitor.destroy()
      }
    })

    it('lets exactly one of many commits of one version through', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 100 }, (_, at) =>
          store(at % 4).commit({
            accountKey: alice,
            expectedVersion: 0,
            record: record([subscription(`s${at}`)]),
            outbox: [entry(`e${at}`)],
          }),
        ),
      )
      expect(outcomes.filter((outcome) => outcome === 'committed')).toHaveLength(1)
      const winner = outcomes.indexOf('committed')
      expect(await store().topics({ limit: 10 })).toEqual([`topic of s${winner}`])
      for (let at = 0; at < 100; at++) {
        const owner = await store(at % 4).topicOwner(`topic of s${at}`)
        expect(owner?.subscriptionId).toBe(at === winner ? `s${winner}` : undefined)
      }
      expect(await store().outboxSize()).toBe(1)
    })

    it('counts up through a hundred that compare and swap against each other', async () => {
      const raise = async (at: number) => {
        for (;;) {
          const { version, record: now } = await store(at % 4).account(alice)
          const createdAt = (now.subscriptions[0]?.createdAt ?? 0) + 1
          const outcome = await store(at % 4).commit({
            accountKey: alice,
            expectedVersion: version,
            record: record([subscription('s', { createdAt })]),
            outbox: [entry(`e${at}`)],
          })
          if (outcome === 'committed') return
        }
      }
      await Promise.all(Array.from({ length: 100 }, (_, at) => raise(at)))
      expect((await store().account(alice)).record.subscriptions[0]?.createdAt).toBe(100)
      expect(await store().outboxSize()).toBe(100)
    })

    it('lets one of a hundred create a project, an app, the server keys; hand a copy; do a request', async () => {
      const hundred = Array.from({ length: 100 }, (_, at) => at)
      const of = <T>(work: (one: NotifyStore, at: number) => Promise<T>) =>
        Promise.all(hundred.map((at) => work(store(at % 4), at)))
      const created = await of((one, at) =>
        one.createProject({ id: 'p', name: `${at}`, secretHash: '', createdAt: T }),
      )
      expect(created.filter(Boolean)).toHaveLength(1)
      const kept = await of((one, at) => one.serverKeys({ key: `${at}` }))
      expect(new Set(kept.map(({ key }) => key)).size).toBe(1)
      await become(store(), alice, record([subscription('s')]))
      const one = await store().putNotification(notification('n'))
      const handed = await of((each) => each.enqueue(one, [target(alice, 's', 'c')]))
      expect(handed.flat().filter((answer) => answer === 'sent')).toHaveLength(1)
      expect(await store().unreadCounts(held(alice, 's'))).toEqual([1])
      const marked = await of((each) =>
        each.markRead({
          accountKey: alice,
          subscriptionId: 's',
          ids: 'all',
          at: T,
          requestId: { id: 'request', expiresAt: T + DAY },
          outbox: [entry('answer')],
          outboxIfChanged: [],
        }),
      )
      expect(marked.filter(({ outcome }) => outcome === 'committed')).toHaveLength(1)
      expect(await store().outboxSize()).toBe(2)
    })

    it('divides the outbox, and gives away what a dead worker held', async () => {
      const accounts = Array.from({ length: 300 }, (_, at) => `account ${at}`)
      await Promise.all(
        accounts.map((accountKey, at) =>
          become(store(at % 4), accountKey, record(), { outbox: [entry(`e${at}`)] }),
        ),
      )
      const take = async (at: number, limit: number, now: number) =>
        (await store(at).takeOutbox({ worker: `${at}`, limit, now, until: now + 100 })).map(({ id }) => id)
      const taken = await Promise.all(Array.from({ length: 40 }, (_, at) => take(at % 4, 10, T)))
      expect(new Set(taken.flat()).size).toBe(taken.flat().length)
      const all = [...taken.flat(), ...(await take(0, 300, T))]
      expect(all).toHaveLength(300)
      await store(1).completeOutbox(
        all.slice(0, 200).map((id) => ({ id })),
        T,
      )
      expect(await take(2, 300, T + 99)).toEqual([])
      expect((await take(3, 300, T + 100)).sort()).toEqual(all.slice(200).sort())
      expect(await store().outboxSize()).toBe(100)
    })

    it('leaves an entry to whoever holds it now when an earlier holder gives it back', async () => {
      await become(store(), alice, record(), { outbox: [entry('e')] })
      expect(await store(0).takeOutbox({ worker: 'a', limit: 1, now: T, until: T + 10 })).toHaveLength(1)
      expect(await store(1).takeOutbox({ worker: 'b', limit: 1, now: T + 10, until: T + 99 })).toHaveLength(1)
      await store(0).returnOutbox(['e'], T + 11)
      expect(await store(2).takeOutbox({ worker: 'c', limit: 1, now: T + 50, until: T + 99 })).toEqual([])
      await store(1).returnOutbox(['e'], T + 51)
      expect(await store(2).takeOutbox({ worker: 'c', limit: 1, now: T + 51, until: T + 99 })).toHaveLength(1)
    })

    it('completes what another process took, copies and others', async () => {
      await become(store(0), alice, record([subscription('s')]), { outbox: [entry('e')] })
      await handOne(store(0), alice, 's', 'c')
      await handOne(store(0), alice, 's', 'd')
      expect(await store(1).takeOutbox({ worker: 'a', limit: 9, now: T, until: T + 99 })).toHaveLength(3)
      const of = { projectId: 'project', domain: 'app.example', id: 'of c' }
      const receipt = { of, accountKey: alice, subscriptionId: 's', became: 'published' } as const
      await store(2).completeOutbox([{ id: 'e' }, { id: 'c', receipt }, { id: 'd' }], T + 1)
      expect(await store(3).outboxSize()).toBe(0)
      expect(await store(3).receiptCounts(of)).toMatchObject({ queued: 0, published: 1 })
    })

    it('gives entries of many accounts in the order in which they came', async () => {
      const ids = Array.from({ length: 60 }, (_, at) => `e${at}`)
      for (const id of ids) await become(store(), `account ${id}`, record(), { outbox: [entry(id)] })
      const taken = await store(1).takeOutbox({ worker: 'w', limit: 100, now: T, until: T + 1 })
      expect(taken.map(({ id }) => id)).toEqual(ids)
    })

    it('rings in every process', async () => {
      let rings = 0
      using _ = store(3).onOutbox(() => {
        rings += 1
      })
      let entries = 0
      // A subscription takes a moment, and what is published before it is lost.
      await eventually(async () => {
        await become(store(0), alice, record(), { outbox: [entry(`e${++entries}`)] })
        expect(rings).toBeGreaterThan(0)
      })
    })

    it('finds histories that another process wrote', async () => {
      await become(store(0), alice, record([subscription('s')]))
      await handOne(store(0), alice, 's', 'c')
      expect(await store(1).unreadCounts(held(alice, 's', 'unknown'))).toEqual([1, 0])
      const page = { after: null, limit: 5, unreadFirst: true, now: T }
      expect((await store(2).history(alice, 's', page)).notifications).toHaveLength(1)
      expect((await store(3).delivered(alice, 's', 'c'))?.id).toBe('c')
      expect((await store(3).deliveredById('c'))?.id).toBe('c')
    })

    it('pages through an app and through topics that lie in one partition', async () => {
      const here = Array.from({ length: 20_000 }, (_, at) => `eip155:0x${`${at}`.padStart(40, '0')}`)
        .filter((key) => partitionOf(key) === 'n7')
        .slice(0, 250)
      await Promise.all(
        here.map((key, at) =>
          become(store(), key, record([subscription(`s${at}`, { topic: key.slice(9).padStart(64, 'a') })])),
        ),
      )
      const seen: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await store(1).subscribers('app.example', { limit: 100, ...(after && { after }) })
        seen.push(...page.map(({ accountKey }) => accountKey))
        after = seen.at(-1)
        if (page.length < 100) break
      }
      expect(seen).toEqual(here)
      const topics = await store(1).topics({ limit: 240 })
      expect(topics).toEqual(here.slice(0, 240).map((key) => key.slice(9).padStart(64, 'a')))
      expect(await store(1).topics({ limit: 100, after: topics.at(-1) ?? '' })).toHaveLength(10)
      expect(await store(1).accountsDue(T + 30 * DAY, 200)).toHaveLength(200)
      expect(await store(1).accountsDue(T + 30 * DAY, 300)).toHaveLength(250)
    })

    it('does not believe a look-up that a refused commit left behind', async () => {
      await become(store(), alice, record([], [watcher('w')]))
      const refused = {
        accountKey: bob,
        expectedVersion: 7,
        record: record([subscription('s')], [watcher('w')]),
        outbox: [],
      }
      expect(await store(1).commit(refused)).toBe('conflict')
      expect(await store().watcherOwner('w')).toBe(alice)
      // The hints of a commit that got so far, and whose process died then.
      const expiresAt = Date.now() + DAY
      const stale = topicOwner('topic of s')
      for (const hint of [
        watcherOwner('w').put({ value: { accounts: [bob, alice], expiresAt }, expiresAt }),
        stale.set.put({ key: stale.key, value: [bob, 's'] }),
      ]) {
        await ports[0]?.commit([{ partition: hint.set.partition, writes: [hint] }], Date.now())
      }
      expect(await store().watcherOwner('w')).toBe(alice)
      expect(await store().topicOwner('topic of s')).toBeUndefined()
    })

    it('keeps the look-up of a watcher that comes back while its end is swept', async () => {
      for (let round = 0; round < 20; round++) {
        await become(store(0), alice, record([], [watcher('w', { expiresAt: T + round })]))
        await become(store(0), alice, record())
        await Promise.all([
          become(store(1), alice, record([], [watcher('w')])),
          ...[2, 3, 2, 3].map((at) => store(at).sweep(T, 100)),
        ])
        expect(await store().watcherOwner('w')).toBe(alice)
        await become(store(0), alice, record())
      }
    })

    it('gives a time to live to every key of which rows end by themselves, and to no other', async () => {
      const requestId = { id: 'request', expiresAt: Date.now() + 300_000 }
      const later = Date.now() + 30 * DAY
      await become(store(), alice, record([subscription('s', { expiresAt: later })], [watcher('w')]), {
        requestId,
        outbox: [entry('e'), entry('f')],
      })
      await store().takeOutbox({ worker: 'w', limit: 1, now: T, until: T + 100 })
      await handOne(store(), alice, 's', 'c', { expiresAt: later, collapseKey: 'k' })
      await handOne(store(), alice, 's', 'd', { expiresAt: later })
      // A receipt that is the only one of its set, in every state one after the other.
      const of = { projectId: 'project', domain: 'app.example', id: 'of d' }
      const receipt = { of, accountKey: alice, subscriptionId: 's', became: 'published' } as const
      await store().completeOutbox([{ id: 'd', receipt }], T)
      await store().markDelivered([{ accountKey: alice, subscriptionId: 's', deliveredId: 'd', at: T }])
      const all = await keys()
      const tables = Object.values(DELIVERY_TABLES).map(({ table }) => table)
      expect(all.length).toBeGreaterThan(15)
      for (const key of all) {
        const table = tables.find(({ name }) => key.includes(`}${name}:`))
        const left = await redis().client.pttl(prefix + key)
        expect([key, left > 0]).toEqual([key, table?.ends])
      }
      for (const [name, atLeast] of [
        ['notify.copyOwner', 30 * DAY],
        ['notify.chunk', 30 * DAY],
        ['notify.request', 300_000],
      ] as const) {
        const key = all.find((one) => one.includes(`}${name}:`))
        expect(await redis().client.pttl(`${prefix}${key}`)).toBeGreaterThan(atLeast)
      }
    })

    it('leaves nothing of what ended', async () => {
      const people = [alice, bob, 'eip155:0x0123456789abcdef0123456789abcdef01234567']
      for (const [at, key] of people.entries()) {
        const held = record([subscription(`s${at}`), subscription(`t${at}`, { domain: 'b.example' })])
        await become(store(at), key, { ...held, watchers: [watcher(`w${at}`)] })
        for (let n = 0; n < 5; n++) await handOne(store(at), key, `s${at}`, `c${at}.${n}`)
      }
      for (const key of people) await become(store(3), key, record())
      const entries = await store().takeOutbox({ worker: 'w', limit: 100, now: T, until: T + 1 })
      await store(1).completeOutbox(entries, T)
      await sweepAll(T + 31 * DAY)
      expect(await lastingKeys()).toEqual([])
    })

    it('leaves nothing of copies and notifications that expired', async () => {
      await become(store(), alice, record([subscription('s')]))
      const before = await lastingKeys()
      for (let at = 0; at < 250; at++) await handOne(store(), alice, 's', `c${at}`, { expiresAt: T + 5 })
      const entries = await store().takeOutbox({ worker: 'w', limit: 500, now: T, until: T + 1 })
      await store().completeOutbox(entries, T)
      expect(await store().unreadCounts(held(alice, 's'))).toEqual([250])
      await sweepAll(T + 5)
      expect(await lastingKeys()).toEqual(before)
    })
  })
}
