/** Tens of thousands of topics on a relay that forgets: ours, with a tap on the line, and a clock that the test turns. */
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { createRelayTopics } from '../../../src/notify/subscriptions/relay-topics.ts'
import { silent } from '../../../src/platform/telemetry.ts'
import { parseRpc } from '../../../src/protocol/jsonrpc.ts'
import { RELAY_METHODS } from '../../../src/protocol/relay-methods.ts'
import { createLeaderElection } from '../../../src/server/leader-election.ts'
import { subscription, T } from '../../contract/notify-samples.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { lmdb, type TestStores } from '../../support/stores.ts'
import { startRelay } from '../../support/world/relay.ts'
import { connect, randomTopic } from '../../support/world/scripted-relay.ts'

const ACCOUNTS = 203
const EACH = 100
const PAGES = Math.ceil((ACCOUNTS * EACH) / 500)
const SERVER_TOPIC = randomTopic()

/** A line to the relay on which every subscribe is seen, and that can be cut. */
const tap = async (relayUrl: string, now: () => number) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await new Promise((resolve) => server.once('listening', resolve))
  const sockets = new Set<WebSocket>()
  const seen: { line: number; at: number; topics: readonly string[] }[] = []
  let lines = 0
  server.on('connection', (near, request) => {
    const line = ++lines
    const far = new WebSocket(relayUrl + (request.url ?? ''))
    const opened = new Promise((resolve) => far.once('open', resolve))
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one)
      one.on('error', () => {})
      one.on('close', () => other.terminate())
    }
    far.on('message', (data) => near.send(data.toString()))
    near.on('message', async (data) => {
      const text = data.toString()
      const rpc = parseRpc(text)
      if (rpc.kind === 'request' && rpc.method === 'irn_subscribe') {
        seen.push({ line, at: now(), topics: [RELAY_METHODS.irn_subscribe.params.parse(rpc.params).topic] })
      } else if (rpc.kind === 'request') {
        expect(rpc.method).toBe('irn_batchSubscribe')
        seen.push({
          line,
          at: now(),
          topics: RELAY_METHODS.irn_batchSubscribe.params.parse(rpc.params).topics,
        })
      }
      await opened
      far.send(text)
    })
  })
  const { port } = server.address() as AddressInfo
  return {
    url: `ws://127.0.0.1:${port}`,
    seen,
    /** Batches that the line with this number carried. */
    batches: (line: number) => seen.filter((each) => each.line === line && each.topics.length > 1),
    cut() {
      for (const socket of sockets) socket.terminate()
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.terminate()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

let stores: TestStores
let topics: string[]
beforeEach(async () => {
  stores = await lmdb.open()
  topics = []
  const commits = Array.from({ length: ACCOUNTS }, (_, at) => {
    const subscriptions = Array.from({ length: EACH }, (_, which) => {
      const topic = randomTopic()
      topics.push(topic)
      return subscription(`${at}-${which}`, { topic, domain: `${which}.example` })
    })
    const record = { subscriptions, watchers: [] }
    return stores.notify.commit({ accountKey: `eip155:${at}`, expectedVersion: 0, record, outbox: [] })
  })
  await Promise.all(commits)
  topics.sort()
}, 60_000)
afterEach(() => stores[Symbol.asyncDispose]())

it('every page is a batch of 500 at most, they are spread, and a broken line does not have it start over', async () => {
  const clock = manualClock(T)
  await using relay = await startRelay({ limits: { topicsPerClient: 100_000 } })
  await using line = await tap(relay.url, clock.now)
  await using link = connect(line.url, { remembers: true })
  await using _membership = createRelayTopics(
    {
      store: stores.notify,
      relay: link,
      leaderTask: createLeaderElection({ leases: stores.leases, clock, log: silent }, 'me')('renewal'),
      clock,
      log: silent,
    },
    { serverTopics: () => [SERVER_TOPIC], renew: true },
  )
  const until = (check: () => void) =>
    eventually(async () => {
      await clock.advance(250)
      check()
    }, 30_000)

  await until(() => expect(line.batches(1).length).toBeGreaterThanOrEqual(15))
  line.cut()
  await until(() => expect(line.batches(2).length).toBeGreaterThanOrEqual(PAGES))
  // What is on its way has come: nothing follows the round.
  let count = -1
  for (let quiet = 0; quiet < 10; quiet++) {
    await clock.advance(250)
    await new Promise((resolve) => setTimeout(resolve, 10))
    if (line.seen.length !== count) quiet = 0
    count = line.seen.length
  }
  for (let at = 0; at < 20; at++) await clock.advance(500)
  expect(line.seen.length - count).toBeLessThanOrEqual(1)

  // A page that was on its way when the line was cut counts, too.
  const before = line.batches(1).length
  const joined = (which: number) => new Set(line.batches(which).flatMap((each) => each.topics))
  expect(joined(1)).toEqual(new Set(topics.slice(0, before * 500)))
  // What it had joined before may be gone, so all of it; from where it was, the page that was on its way included.
  expect([...joined(2)].sort()).toEqual(topics)
  expect([topics[(before - 1) * 500], topics[before * 500]]).toContain(line.batches(2)[0]?.topics[0])
  expect(line.batches(2).length).toBeLessThanOrEqual(PAGES + 2)
  expect(line.seen.some((each) => each.line === 2 && each.topics[0] === SERVER_TOPIC)).toBe(true)
  for (const number of [1, 2]) {
    const batches = line.batches(number)
    for (const [at, { topics: some, at: time }] of batches.entries()) {
      expect(some.length).toBeLessThanOrEqual(500)
      const last = batches[at - 1]
      if (last) expect(time - last.at).toBeGreaterThanOrEqual(250)
    }
  }

  // Six hours later once more.
  const rounds = line.seen.length
  for (let hour = 0; hour < 6; hour++) await clock.advance(3_600_000)
  await until(() => expect(line.seen.length - rounds).toBeGreaterThanOrEqual(PAGES))
}, 90_000)
