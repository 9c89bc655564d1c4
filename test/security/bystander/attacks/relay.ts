/** What strangers do at the relay. */
import { fromHex } from '../../../../src/protocol/bytes.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { topicOf } from '../../../../src/protocol/topic.ts'
import { crowd } from '../../../support/runs.ts'
import { type Attack, type Scene, SHORT_SECONDS } from '../attack.ts'
import { type Connection, junk, MONTH_S, newTopic, randomHex, tokenFor, watchToken } from '../stranger.ts'

const KIB = 1024
const connections = (scene: Scene, count: number): Promise<Connection[]> =>
  Promise.all(
    Array.from({ length: count }, (_, at) =>
      scene.connect({ relay: scene.relays[at % scene.relays.length] ?? '' }),
    ),
  )
const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const close = (all: readonly Connection[]) => {
  for (const one of all) one.close()
}

const fillRequestTopics: Attack = {
  title: 'fills the request topics of the server and of an app',
  // What is in progress at the end counts as refused; a request is let go of after ten.
  seconds: 11,
  atLeast: { 'publish 500 tiny messages': 12 },
  async run(scene) {
    const { server, app } = scene.orders
    const topics = [server, app].map(({ key }) => topicOf(fromHex(key)))
    // Subscribed and gone: nothing that comes is ever acknowledged.
    const members = await connections(scene, scene.relays.length)
    for (const member of members) for (const topic of topics) await member.ask('irn_subscribe', { topic })
    close(members)
    const all = await connections(scene, 4)
    await scene.repeat('publish 500 tiny messages', { atOnce: 8, times: 48 }, (one) => {
      const topic = topics[one % topics.length]
      const messages = Array.from({ length: 500 }, () => ({ topic, message: junk(12), ttl: MONTH_S, tag: 1 }))
      return all[one % all.length]?.ask('irn_batchPublish', { messages }) ?? Promise.resolve(false)
    })
    close(all)
  },
}

const subscribeToMany: Attack = {
  title: 'subscribes to as many topics as it can',
  seconds: 20,
  // A client has 10,000, of half a KiB each; on Redis, behind other attacks, two or three MiB more.
  storedMiB: 12,
  atMost: { 'subscribe to 500 topics': 20 },
  atLeast: { 'subscribe to 500 topics': 24 },
  async run(scene) {
    const one = await scene.connect()
    await scene.repeat('subscribe to 500 topics', { atOnce: 4, times: 28 }, () =>
      one.ask('irn_batchSubscribe', { topics: Array.from({ length: 500 }, newTopic) }),
    )
    one.close()
  },
}

/** More than an address may store. */
const LARGE_MESSAGES = crowd(480, 400)

const publishToNobody: Attack = {
  title: 'publishes to nobody',
  seconds: 25,
  // An address has 64 MiB.
  storedMiB: 90,
  atLeast: { 'publish 240 KiB': LARGE_MESSAGES },
  async run(scene) {
    const all = await connections(scene, 4)
    const filler = 'x'.repeat(240 * KIB)
    await scene.repeat('publish 240 KiB', { atOnce: 16, times: LARGE_MESSAGES }, (turn) => {
      const topic = newTopic()
      const message = `${topic}${filler}`
      return (
        all[turn % all.length]?.ask('irn_publish', { topic, message, ttl: MONTH_S, tag: 1 }) ??
        Promise.resolve(false)
      )
    })
    close(all)
  },
}

const watchWithLongUrls: Attack = {
  title: 'has 64 webhooks with long URLs told of tiny messages',
  seconds: 20,
  storedMiB: 8,
  atLeast: { 'publish 8 bytes': 60 },
  async run(scene) {
    const [watched, publisher] = await connections(scene, 2)
    if (!watched || !publisher) throw new Error('There are two')
    const topic = newTopic()
    await watched.ask('irn_subscribe', { topic })
    for (const length of [4_000, 500]) {
      for (let at = 0; at < 64; at++) {
        const url = `https://${randomHex(8)}.example/`.padEnd(length, 'x')
        const registerAuth = watchToken(watched.key, scene.relays[0] ?? '', url)
        scene.note(`watch with ${length} bytes`, await watched.ask('irn_watchRegister', { registerAuth }))
      }
    }
    await scene.repeat('publish 8 bytes', { atOnce: 4, times: 60 }, () =>
      publisher.ask('irn_publish', { topic, message: junk(6), ttl: MONTH_S, tag: 4000 }),
    )
    close([watched, publisher])
  },
}

/** A client that neither subscribes nor fetches for so long gets what waits for it. */
const SETTLED_MS = 400

const comeWithManyTopics: Attack = {
  title: 'comes and goes with very many topics',
  seconds: SHORT_SECONDS,
  storedMiB: 64,
  // A client has 10,000.
  atMost: { 'subscribe to 500 topics': 20 },
  async run(scene) {
    const key = generateSigningKey()
    const [relay = ''] = scene.relays
    const first = await scene.connect({ relay, key })
    for (let batch = 0; batch < 60; batch++) {
      const topics = Array.from({ length: 500 }, newTopic)
      if (!(await first.ask('irn_batchSubscribe', { topics }))) break
      scene.note('subscribe to 500 topics', true)
    }
    first.close()
    await scene.repeat('come', { atOnce: 16 }, async () => {
      const one = await scene.connect({ relay, key })
      const { isOpen } = one
      // Until what waits for it is looked for in every topic.
      await pause(SETTLED_MS)
      one.close()
      return isOpen
    })
  },
}

const MOST_JOINING = crowd(4_000, 2_000)

const publishToCrowd: Attack = {
  title: 'publishes to a topic with thousands of subscribers who are gone',
  seconds: SHORT_SECONDS,
  storedMiB: 64,
  async run(scene) {
    const topic = newTopic()
    const [relay = ''] = scene.relays
    let joining = 0
    const join = async () => {
      while (joining++ < MOST_JOINING) {
        const key = generateSigningKey()
        const body = { id: 1, jsonrpc: '2.0', method: 'irn_subscribe', params: { topic } }
        const authorization = `Bearer ${tokenFor(key, relay)}`
        const url = `${relay.replace(/^ws/, 'http')}/rpc`
        const { status } = await scene.http('POST', url, body, { authorization })
        scene.note('join', status === 200)
      }
    }
    await Promise.all(Array.from({ length: 48 }, join))
    const all = await connections(scene, 8)
    await scene.repeat('publish to the crowd', { atOnce: 8 }, (turn) => {
      const one = all[turn % all.length]
      return one?.ask('irn_publish', { topic, message: junk(12), ttl: 300, tag: 1 }) ?? Promise.resolve(false)
    })
    close(all)
  },
}

const neverAcknowledge: Attack = {
  title: 'reads on many connections and acknowledges nothing',
  seconds: 20,
  storedMiB: 64,
  residentMiB: 128,
  async run(scene) {
    const topic = newTopic()
    const readers = await connections(scene, 96)
    const publisher = await scene.connect({ from: scene.orders.accomplice })
    for (const reader of readers) await reader.ask('irn_subscribe', { topic })
    const filler = 'x'.repeat(200 * KIB)
    await scene.repeat('publish 200 KiB', { atOnce: 4, times: 60 }, (turn) =>
      publisher.ask('irn_publish', { topic, message: `${turn} ${filler}`, ttl: 300, tag: 1 }),
    )
    // Until all of it would have been pushed.
    await pause(1_500)
    close([...readers, publisher])
  },
}

const takeConnections: Attack = {
  title: 'opens all the connections that there are',
  seconds: 25,
  atLeast: { connect: 1_100 },
  // An address has 256 at each relay.
  atMost: { connect: 512 },
  async run(scene) {
    const open: Connection[] = []
    await scene.repeat('connect', { atOnce: 64, times: 1_100 }, async (turn) => {
      const one = await scene.connect({ relay: scene.relays[turn % scene.relays.length] ?? '' })
      if (one.isOpen) open.push(one)
      return one.isOpen
    })
    await pause(2_000)
    close(open)
  },
}

const foreignTokens: Attack = {
  title: 'logs in with tokens that a client signed for other purposes',
  seconds: 1,
  atLeast: { 'fetch what waits': 1 },
  async run(scene) {
    const { tokens, waiting } = scene.orders.victim
    const body = { id: 1, jsonrpc: '2.0', method: 'irn_fetchMessages', params: { topic: waiting } }
    for (const relay of scene.relays) {
      for (const token of tokens) {
        const url = `${relay.replace(/^ws/, 'http')}/rpc`
        const { status } = await scene.http('POST', url, body, { authorization: `Bearer ${token}` })
        scene.note('fetch what waits', status > 0)
      }
    }
  },
}

export const relayAttacks: readonly Attack[] = [
  fillRequestTopics,
  subscribeToMany,
  publishToNobody,
  watchWithLongUrls,
  comeWithManyTopics,
  publishToCrowd,
  neverAcknowledge,
  takeConnections,
  foreignTokens,
]
