/** Webhooks of anonymous relay clients: what they cost, whom they reach, when they end, and who notices. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { verifyJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { WatchWebhook } from '../../src/protocol/relay-watch.ts'
import { WATCH_QUEUE } from '../../src/relay/webhooks/jobs.ts'
import { manualClock } from '../support/clock.ts'
import { redis } from '../support/engines.ts'
import { eventually } from '../support/eventually.ts'
import { startReceiver } from '../support/receiver.ts'
import { lmdb } from '../support/stores.ts'
import { startWatchRelay } from '../support/world/relay-webhooks.ts'

const newTopic = () => randomBytes(32).toString('hex')
const newKey = generateSigningKey
/** As if loopback were the public internet. */
const rules = addressRules(['127.0.0.0/8'])
const nobody = () => false

interface Post {
  path: string
  tokens: string[]
  authorization: string
}

/** A service on all of 127.0.0.0/8, so that it is as many hosts as one likes. */
const startService = async (
  answer: (post: Post, response: ServerResponse, request: IncomingMessage) => void,
) => {
  const posts: Post[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request.setEncoding('utf8')) text += chunk
    const { eventAuth: tokens } = WatchWebhook.parse(JSON.parse(text))
    const post = { path: request.url ?? '', tokens, authorization: request.headers.authorization ?? '' }
    posts.push(post)
    answer(post, response, request)
  })
  server.listen(0, '0.0.0.0')
  await once(server, 'listening')
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : 0
  return {
    posts,
    events: () => posts.filter(({ tokens }) => tokens.length > 0),
    url: (host: number) => `http://127.0.0.${host}:${port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
const agree = (_: Post, response: ServerResponse) => void response.writeHead(204).end()

const bytesOfJobs = async (relay: Awaited<ReturnType<typeof startWatchRelay>>, of: SigningKey) =>
  JSON.stringify(await relay.stores.jobQueue.list(WATCH_QUEUE, { group: of.did, dead: false, limit: 5_000 }))
    .length

// Both engines at the same time, on each one test after the other: most of it is waiting for answers.
describe.concurrent.each([lmdb, redis])('webhooks of strangers on $name', (engine) => {
  it.sequential('cost a few KiB a message, however many and however long they are, and no more than so many jobs', async () => {
    await using relay = await startWatchRelay(engine, {
      ...{ trusts: nobody, rules: addressRules([], () => true) },
      resolve: () => new Promise(() => {}),
    })
    const [owner, sender, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(owner, 'irn_subscribe', { topic })
    for (let at = 0; at < 64; at++) {
      const url = `https://h${at}.example/`
      await relay.watch(owner, url.padEnd(512, 'x'), {
        ...{ sub: 'https://s.example/'.padEnd(512, 'y'), sts: ['accepted', 'queued', 'delivered'] },
      })
    }
    const before = await bytesOfJobs(relay, owner)
    await relay.publish(sender, topic, '8 bytes!')
    expect((await bytesOfJobs(relay, owner)) - before).toBeLessThan(4_096)
    for (let batch = 0; batch < 3; batch++) {
      const messages = Array.from({ length: 500 }, (_, at) => ({
        ...{ topic: at % 2 === 0 ? topic : newTopic(), message: `${batch} ${at}`, ttl: 300, tag: 4000 },
      }))
      await relay.rpc(sender, 'irn_batchPublish', { messages })
    }
    const { waiting } = await relay.stores.jobQueue.count(WATCH_QUEUE, owner.did)
    expect(waiting).toBeLessThan(1_100)
  })

  it.sequential('are asked before they are told anything, signed, and told only when they agree', async () => {
    const clock = manualClock()
    await using relay = await startWatchRelay(engine, { clock, trusts: nobody, rules })
    await using yes = await startService(agree)
    await using no = await startService((_, response) => void response.writeHead(404).end())
    const [owner, sender, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(owner, 'irn_subscribe', { topic })
    await relay.watch(owner, `${yes.url(1)}/yes`)
    await relay.watch(owner, `${no.url(2)}/no`)
    await relay.publish(sender, topic, 'early')
    await eventually(() => expect(yes.posts.length).toBeGreaterThan(0))
    const [first] = yes.posts
    expect(first?.tokens).toEqual([])
    const expected = { now: clock.now(), issuer: relay.key.did, act: 'irn_watchChallenge' }
    const claims = verifyJwt(first?.authorization.replace('Bearer ', '') ?? '', expected)
    expect(claims).toMatchObject({ sub: owner.did, whu: `${yes.url(1)}/yes`, aud: 'https://service.example' })
    for (let at = 0; at < 60; at++) {
      await relay.idle()
      await clock.advance(20_000)
    }
    // What happened before it agreed was kept for it.
    expect(yes.events()).toHaveLength(1)
    expect(no.events()).toEqual([])
    expect(no.posts).toHaveLength(4)
    expect((await relay.stores.relay.watches([owner.did], clock.now())).map(({ url }) => url)).toEqual([
      `${yes.url(1)}/yes`,
    ])
  })

  it.sequential('that answer 404 are left alone after five, whoever publishes how much', async () => {
    await using relay = await startWatchRelay(engine, { trusts: nobody, rules })
    await using gone = await startService(({ tokens }, response) => {
      response.writeHead(tokens.length === 0 ? 204 : 404).end()
    })
    const [owner, sender, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(owner, 'irn_subscribe', { topic })
    await relay.watch(owner, gone.url(1))
    await eventually(() => expect(gone.posts).toHaveLength(1))
    for (let at = 0; at < 12; at++) {
      await relay.publish(sender, topic, `message ${at}`)
      await relay.idle()
    }
    await eventually(async () =>
      expect(await relay.stores.relay.watches([owner.did], Date.now())).toEqual([]),
    )
    expect(gone.events().length).toBeLessThanOrEqual(5)
  })

  it.sequential('that were ended do not come back by their old token', async () => {
    await using relay = await startWatchRelay(engine)
    await using receiver = await startReceiver({ signer: () => relay.key.did })
    const [owner, sender, topic] = [newKey(), newKey(), newTopic()]
    await relay.rpc(owner, 'irn_subscribe', { topic })
    const registerAuth = relay.token(owner, {
      ...{ act: 'irn_watchRegister', sub: 'https://service.example', typ: 'subscriber' },
      ...{ whu: receiver.url, tag: [4000], sts: ['accepted'] },
    })
    await relay.rpc(owner, 'irn_watchRegister', { registerAuth })
    await relay.unwatch(owner, receiver.url)
    await relay.restart()
    await expect(relay.rpc(newKey(), 'irn_watchRegister', { registerAuth })).rejects.toThrow(/newer/)
    await relay.publish(sender, topic, 'private')
    await relay.idle()
    expect(receiver.posts).toEqual([])
    const iat = Math.floor(Date.now() / 1000) + 1
    await relay.watch(owner, receiver.url, { iat })
    await relay.publish(sender, topic, 'told')
    await eventually(() => expect(receiver.events().map(({ evt }) => evt.message)).toEqual(['told']))
  })

  it.sequential.each<[string, (request: IncomingMessage, response: ServerResponse) => void]>([
    [
      'switch protocols',
      ({ socket }) =>
        void socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    ],
    ['never answer', () => {}],
  ])(
    'that %s hold up neither another stranger’s nor those of the house',
    async (_, misbehave) => {
      const house = newKey()
      await using relay = await startWatchRelay(engine, {
        ...{ trusts: (clientId: string) => clientId === house.did, rules },
        places: { all: 256, perHost: 8, perOwner: 16 },
      })
      await using bad = await startService((post, response, request) => {
        if (post.tokens.length === 0) agree(post, response)
        else misbehave(request, response)
      })
      await using good = await startService(agree)
      await using receiver = await startReceiver({ signer: () => relay.key.did })
      const sender = newKey()
      const attackers = Array.from({ length: 6 }, () => ({ key: newKey(), topic: newTopic() }))
      for (const [at, { key, topic }] of attackers.entries()) {
        await relay.rpc(key, 'irn_subscribe', { topic })
        for (let host = 0; host < 20; host++)
          await relay.watch(key, `${bad.url(at * 40 + (host % 40) + 1)}/${host}`)
      }
      await eventually(() => expect(bad.posts.length).toBeGreaterThanOrEqual(120), 60_000)
      const attack = async () => {
        for (const { topic } of attackers) {
          const messages = Array.from({ length: 70 }, () => ({
            ...{ topic, message: randomBytes(8).toString('hex'), ttl: 300, tag: 4000 },
          }))
          await relay.rpc(sender, 'irn_batchPublish', { messages })
        }
      }
      await attack()
      await eventually(() => expect(bad.events().length).toBeGreaterThanOrEqual(90), 60_000)
      const [bystander, topic] = [newKey(), newTopic()]
      for (const key of [bystander, house]) await relay.rpc(key, 'irn_subscribe', { topic })
      await relay.watch(bystander, `${good.url(250)}/hook`)
      await relay.watch(house, receiver.url)
      await attack()
      const before = bad.posts.length
      await relay.publish(sender, topic, 'for bystanders')
      await eventually(() => expect(receiver.events()).toHaveLength(1))
      await eventually(() => expect(good.events()).toHaveLength(1))
      // Attackers have 96 places, each for 10 s, and thousands of events before those of the bystanders.
      expect(bad.posts.length - before).toBeLessThan(3 * 96)
      // To prepare it takes long: every webhook is asked first.
    },
    240_000,
  )

  it.sequential('of many clients reach one host at a bounded pace', async () => {
    await using relay = await startWatchRelay(engine, {
      ...{ trusts: nobody, rules },
      places: { perHost: 4, pace: { burst: 20, perSecond: 5 } },
    })
    await using victim = await startService(agree)
    const [sender, topic] = [newKey(), newTopic()]
    const startedAt = Date.now()
    for (let at = 0; at < 12; at++) {
      const key = newKey()
      await relay.rpc(key, 'irn_subscribe', { topic })
      for (let hook = 0; hook < 8; hook++) await relay.watch(key, `${victim.url(1)}/${at}/${hook}`)
      await expect(relay.watch(key, `${victim.url(1)}/${at}/8`)).rejects.toThrow(/on one host/)
    }
    await relay.publish(sender, topic, '8 bytes!')
    await eventually(() => expect(victim.posts.length).toBeGreaterThan(20))
    const most = 20 + (5 * (Date.now() - startedAt)) / 1_000 + 1
    expect(victim.posts.length).toBeLessThanOrEqual(most)
  })
})
