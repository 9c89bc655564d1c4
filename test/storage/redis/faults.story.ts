import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { DEFAULT_MAILBOX_LIMITS, type NewMessage, type RelayStore } from '../../../src/relay/store.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { client, message, stored, T, textsOf, topic } from '../../contract/relay-samples.ts'
import { eventually } from '../../support/eventually.ts'
import { freePort } from '../../support/process.ts'
import { startCluster, startRedis } from '../../support/redis.ts'

const a = topic('a')
const alice = client('alice')
const unavailable = { code: 'unavailable' }
/** What is published at full speed for as long as a fault lasts: a topic that was full would drop its oldest messages. */
const mailbox = { ...DEFAULT_MAILBOX_LIMITS, messages: 1_000_000, bytes: 1024 ** 3 }
/** ms */
const NODE_TIMEOUT = 10_000

/** Publishes one after the other, each until it is answered, on several topics at once; what was answered is kept. */
const publishAll = (store: RelayStore, topics: readonly string[]) => {
  const answered = new Map<string, string[]>(topics.map((of) => [of, []]))
  const failures: unknown[] = []
  let isOver = false
  const one = async (of: string) => {
    for (let at = 0; !isOver; at++) {
      const next: NewMessage = message(of, `${at} of ${of}`)
      for (;;) {
        try {
          await store.publish([next])
          break
        } catch (error) {
          failures.push(error)
        }
      }
      answered.get(of)?.push(next.message)
    }
  }
  const running = Promise.all(topics.map(one))
  return {
    answered,
    failures,
    count: () => [...answered.values()].reduce((sum, texts) => sum + texts.length, 0),
    async end() {
      isOver = true
      await running
      for (const failure of failures) expect(failure).toMatchObject(unavailable)
    },
  }
}
const grows = async (publishing: { count(): number }, by = 200) => {
  const before = publishing.count()
  await eventually(() => expect(publishing.count()).toBeGreaterThan(before + by), 30_000)
}

describe('the stores when Redis is in trouble', () => {
  it('wait for a Redis that starts later', async () => {
    const port = await freePort()
    await using stores = await openRedis({ url: `redis://127.0.0.1:${port}` })
    const asked = stores.relay.subscribe(alice, [a], { now: Date.now() })
    await using _redis = await startRedis({ port })
    expect(await asked).toMatchObject({ total: 1 })
  })

  it('say that Redis is away when it stays away, and close all the same', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`
    const stores = await openRedis({ url, timeoutMs: 200 })
    await expect(stores.ping()).rejects.toMatchObject(unavailable)
    await expect(stores.relay.publish([message(a, '1')])).rejects.toMatchObject(unavailable)
    await expect(stores.keys.identity('key')).rejects.toMatchObject(unavailable)
    await stores[Symbol.asyncDispose]()
    await expect(stores.ping()).rejects.toMatchObject(unavailable)
  })

  it('finish what was asked for before they were closed', async () => {
    await using redis = await startRedis()
    const stores = await openRedis({ url: redis.url })
    const asked = stores.relay.subscribe(alice, [a], { now: Date.now() })
    const closing = stores[Symbol.asyncDispose]()
    await expect(stores.relay.topicsOf(alice, { limit: 1 })).rejects.toMatchObject(unavailable)
    expect(await asked).toMatchObject({ total: 1 })
    await closing
  })

  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    it(`lose nothing that was answered over a restart of Redis by ${signal}`, async () => {
      await using redis = await startRedis({ appendonly: true, config: ['--appendfsync', 'always'] })
      await using stores = await openRedis({ url: redis.url, mailbox })
      const topics = Array.from({ length: 20 }, (_, at) => topic(`${at}`))
      const publishing = publishAll(stores.relay, topics)
      await grows(publishing)
      await redis.stop(signal)
      await redis.restart()
      await grows(publishing)
      await publishing.end()
      for (const [of, texts] of publishing.answered) {
        expect(await textsOf(stores.relay, alice, of)).toEqual(texts)
      }
    })
  }

  it('are unavailable, with the reason, while Redis is full or only a replica, and recover', async () => {
    await using redis = await startRedis()
    await using stores = await openRedis({ url: redis.url })
    await stored(stores.relay, message(a, '1'))
    const reasonOf = async (text: string): Promise<string> => {
      const error: unknown = await stores.relay.publish([message(a, text)]).catch((reason: unknown) => reason)
      if (!(error instanceof ProtocolError)) throw new Error('it was not refused')
      expect(error).toMatchObject(unavailable)
      return error.cause instanceof Error ? error.cause.message : error.message
    }
    await redis.cli('config', 'set', 'maxmemory', '1')
    expect(await reasonOf('2')).toContain('OOM')
    expect(await textsOf(stores.relay, alice, a)).toEqual(['1'])
    await redis.cli('config', 'set', 'maxmemory', '0')
    await stored(stores.relay, message(a, '2'))

    await redis.cli('replicaof', '127.0.0.1', '1')
    expect(await reasonOf('3')).toBeTruthy()
    await redis.cli('replicaof', 'no', 'one')
    await eventually(() => stored(stores.relay, message(a, '4')))
    // What was refused while Redis was away may have been stored since.
    const texts = await textsOf(stores.relay, alice, a)
    expect(texts.filter((text) => text !== '3')).toEqual(['1', '2', '4'])
  })

  it('go on removing what is done with, and sharing out the jobs that do, while Redis is full', async () => {
    await using redis = await startRedis()
    await using stores = await openRedis({ url: redis.url })
    await stores.relay.subscribe(alice, [a], { now: Date.now() })
    const [first, second] = [message(a, '1'), message(a, '2', { expiresAt: T + 1 })]
    await stored(stores.relay, first)
    await stored(stores.relay, second)
    await redis.cli('config', 'set', 'maxmemory', '1')
    await expect(stores.relay.publish([message(a, '3')])).rejects.toMatchObject(unavailable)
    await stores.relay.acknowledge(alice, [first])
    expect(await textsOf(stores.relay, alice, a)).toEqual(['2'])
    const lease = { holder: 'me', now: T, until: T + 1_000 }
    expect(await stores.leases.take('sweeping', lease)).toBe(true)
    expect(await stores.relay.sweep(T + 1, 10)).toBe(1)
    await stores.relay.unsubscribe(alice, [a])
    expect(await stores.relay.isSubscribed(alice, a)).toBe(false)
  })

  it('do not wait for ever for a Redis that hangs, and go on when it does', async () => {
    await using redis = await startRedis()
    await using stores = await openRedis({ url: redis.url, timeoutMs: 300 })
    // Where others compute, a Redis that does not hang may take longer than that, too.
    await eventually(() => stores.ping())
    process.kill(redis.pid, 'SIGSTOP')
    await expect(stores.relay.publish([message(a, '1')])).rejects.toMatchObject(unavailable)
    process.kill(redis.pid, 'SIGCONT')
    await eventually(() => stored(stores.relay, message(a, '2')))
    // Redis got the first one, too: a call that fails may have its effect.
    await eventually(async () => expect(await textsOf(stores.relay, alice, a)).toEqual(['1', '2']))
  })
})

describe('the stores when a Redis Cluster changes', () => {
  const topics = Array.from({ length: 100 }, (_, at) => topic(`${at}`))

  it('keep every message and its order while slots move', { timeout: 120_000 }, async () => {
    // No node may be taken for dead: a fail-over may lose what was just answered.
    await using cluster = await startCluster({ nodeTimeout: 30_000 })
    await using stores = await openRedis({ url: cluster.url, mailbox })
    await stores.relay.subscribe(alice, topics, { now: Date.now() })
    const publishing = publishAll(stores.relay, topics)
    await grows(publishing, 1000)
    const [first, second] = cluster.nodes
    if (!first || !second) throw new Error('no nodes')
    const [from, to] = [await first.cli('cluster', 'myid'), await second.cli('cluster', 'myid')]
    const slots = ['--cluster-slots', '1000', '--cluster-yes']
    await first.cli(
      '--cluster',
      'reshard',
      `127.0.0.1:${first.port}`,
      '--cluster-from',
      from,
      '--cluster-to',
      to,
      ...slots,
    )
    await grows(publishing, 1000)
    await publishing.end()
    for (const [of, texts] of publishing.answered) {
      expect(await textsOf(stores.relay, client('bob'), of)).toEqual(texts)
    }
  })

  it('tell senders while a master is dead, and go on with its replica', { timeout: 180_000 }, async () => {
    // Longer than a node stands still on a busy machine, and than a call waits: one that lives is not taken for dead.
    await using cluster = await startCluster({ nodeTimeout: NODE_TIMEOUT })
    await using stores = await openRedis({ url: cluster.url, mailbox, timeoutMs: 1_000 })
    const publishing = publishAll(stores.relay, topics)
    await grows(publishing, 1000)
    const [first, second] = cluster.nodes
    const early = new Map([...publishing.answered].map(([of, texts]) => [of, [...texts]]))
    // Redis answers before it replicates. What its replica has is safe; what was answered in the last moment may be lost.
    const replication = async () => (await first?.cli('info', 'replication')) ?? ''
    const written = Number(/master_repl_offset:(\d+)/.exec(await replication())?.[1])
    await eventually(async () => {
      expect(Number(/slave0:.*offset=(\d+)/.exec(await replication())?.[1])).toBeGreaterThanOrEqual(written)
    })
    await first?.stop('SIGKILL')
    await eventually(async () => {
      expect(await second?.cli('cluster', 'nodes')).toMatch(/ master,fail| fail /)
      expect(await second?.cli('cluster', 'info')).toContain('cluster_state:ok')
      // A vote that came too early is asked for again after four times the node's timeout.
    }, NODE_TIMEOUT * 6)
    await grows(publishing, 1000)
    await publishing.end()
    expect(publishing.failures.length).toBeGreaterThan(0)
    for (const [of, texts] of early) {
      const kept = await textsOf(stores.relay, alice, of, { now: T })
      expect(kept.filter((text) => texts.includes(text))).toEqual(texts)
    }
  })
})
