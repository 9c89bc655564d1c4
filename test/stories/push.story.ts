/**
 * A storm of messages for devices, while the server is killed again and again. Each message is acknowledged by its wallet, handed
 * to the provider, or named as one of those that the device has to fetch, which it does. None is lost, and a device gets no more
 * than one push too many for each kill.
 */
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { silent, unmeasured } from '../../src/platform/telemetry.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, type ServerProcess, startServerProcess } from '../support/process.ts'
import type { FcmPush } from '../support/push/fake-fcm.ts'
import { giveCredentials, startFakes } from '../support/push/push-world.ts'
import { startRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { temporaryHome } from '../support/story.ts'

const DEVICES = crowd(5_000, 100, 50)
const MESSAGES = crowd(100_000, 1_500, 100)
const KILLS = crowd(50, 4, 12)
const PUBLISHERS = 4
/** Of the wallets, those that are connected, and acknowledge most of what they get. */
const CONNECTED = 20
const PROJECT = 'storm'
const NOTIFICATION = 4002
const DRAIN_MS = 120_000

interface Member {
  readonly url: string
  restart(): Promise<void>
}

/** Servers that are killed: one on the embedded store, or two on one Redis. */
const startMembers = async (count: number, env: Record<string, string>) => {
  const owned = createReleaseStack()
  const redis = count > 1 ? owned.use(await startRedis({ appendonly: true })) : undefined
  const secret = randomBytes(16).toString('hex')
  const members = await Promise.all(
    Array.from({ length: count }, async (): Promise<Member> => {
      const home = owned.use(await temporaryHome())
      const port = await freePort()
      const start = () =>
        startServerProcess(home.path, {
          port,
          args: ['--rooms', 'relay,push'],
          env: { ...env, BELFRY_SECRET: secret, ...(redis && { REDIS_URL: redis.url }) },
        })
      let running: ServerProcess = await start()
      owned.use({ [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() })
      return {
        url: running.url,
        async restart() {
          await running.end('SIGKILL')
          running = await start()
        },
      }
    }),
  )
  return { members, [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose]() }
}

interface Wallet {
  key: SigningKey
  topic: string
}

const tokenFor = (key: SigningKey, aud: string, act?: string): string => {
  const iat = Math.floor(Date.now() / 1000)
  const sub = randomBytes(32).toString('hex')
  return signJwt({ iss: key.did, aud, sub, iat, exp: iat + 80_000, ...(act !== undefined && { act }) }, key)
}

const ask = async (url: string, init: RequestInit): Promise<unknown> => {
  const answer = await fetch(url, init)
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

const rpc = (base: string, key: SigningKey, method: string, params: object): Promise<unknown> =>
  ask(`${base}/rpc?auth=${tokenFor(key, base)}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id: Date.now(), jsonrpc: '2.0', method, params }),
  })

const enrol = async (base: string): Promise<Wallet[]> => {
  const wallets = Array.from({ length: DEVICES }, () => ({
    key: generateSigningKey(),
    topic: randomBytes(32).toString('hex'),
  }))
  for (let at = 0; at < wallets.length; at += 50)
    await Promise.all(
      wallets.slice(at, at + 50).map(async ({ key, topic }) => {
        await rpc(base, key, 'irn_subscribe', { topic })
        await ask(`${base}/push/v1/${PROJECT}/devices`, {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            authorization: `Bearer ${tokenFor(key, base, 'push_register')}`,
          },
          body: JSON.stringify({ target: { fcm: { token: key.did } } }),
        })
      }),
    )
  return wallets
}

/** What devices got, and what their wallets acknowledged. */
const createLedger = () => {
  const arrived = new Set<string>()
  const pushedTo = new Map<string, Set<string>>()
  const surplus = new Map<string, number>()
  const toFetch = new Set<string>()
  return {
    arrived,
    surplus,
    toFetch,
    pushed({ token, data }: FcmPush) {
      const messages: { id: string }[] = JSON.parse(data.messages ?? '[]')
      const known = pushedTo.get(token) ?? new Set()
      pushedTo.set(token, known)
      if (messages.some(({ id }) => known.has(id))) surplus.set(token, (surplus.get(token) ?? 0) + 1)
      for (const { id } of messages) {
        known.add(id)
        arrived.add(id)
      }
      if (Number(data.more) > 0) toFetch.add(token)
    },
  }
}

describe.each([
  ['the embedded store', 1],
  ['two processes on Redis', 2],
])('a storm of pushes on %s', (_, count) => {
  it(`loses none of ${MESSAGES} messages to ${DEVICES} devices over ${KILLS} kills`, async () => {
    await using owned = createReleaseStack()
    const fakes = owned.use(await startFakes())
    const adminToken = randomBytes(16).toString('hex')
    const { members } = owned.use(await startMembers(count, { ...fakes.env, BELFRY_ADMIN_TOKEN: adminToken }))
    const at = (index: number): Member => {
      const member = members[index % members.length]
      if (!member) throw new Error('no member')
      return member
    }
    await giveCredentials({ url: at(0).url, adminToken }, PROJECT, fakes)
    const wallets = await enrol(at(0).url)
    const ledger = createLedger()
    fakes.fcm.onPush = ledger.pushed

    const client = (key: SigningKey, index: number, onMessage = async (_: { message: string }) => {}) =>
      owned.use(
        createRelayClient(
          { clock: systemClock, log: silent, meter: unmeasured },
          { url: at(index).url, key, onMessage },
        ),
      )
    for (const [index, { key }] of wallets.slice(0, CONNECTED).entries())
      client(key, index, async ({ message }) => {
        // Some are shown and never acknowledged, as by an app that is being suspended.
        if (index % 4 === 0) await new Promise(() => {})
        ledger.arrived.add(messageIdOf(message))
      })

    const sent: { id: string; nth: number }[] = []
    const publishing = Array.from({ length: PUBLISHERS }, async (_, publisher) => {
      const from = client(generateSigningKey(), publisher)
      for (let nth = publisher; nth < MESSAGES; nth += PUBLISHERS) {
        const wallet = wallets[nth % wallets.length]
        if (!wallet) continue
        const message = Buffer.from(`${nth} ${randomBytes(60).toString('base64')}`).toString('base64')
        await from.publish({ topic: wallet.topic, message, tag: NOTIFICATION, ttl: 86_400 })
        sent.push({ id: messageIdOf(message), nth })
        if (nth % 97 === 0) fakes.fcm.next.push({ status: 503 }, { status: 429, retryAfter: 1 })
      }
    })
    let isPublished = false
    const published = Promise.all(publishing).then(() => {
      isPublished = true
    })
    let kills = 0
    const killing = (async () => {
      for (; kills < KILLS; kills++) {
        await new Promise((resolve) => setTimeout(resolve, isPublished ? 50 : 300 + Math.random() * 700))
        await at(kills).restart()
      }
    })()
    await Promise.all([published, killing])
    expect(sent).toHaveLength(MESSAGES)

    /** A device that is told of more opens its mailbox. */
    const fetchMore = async () => {
      for (const token of [...ledger.toFetch]) {
        const wallet = wallets.find(({ key }) => key.did === token)
        if (!wallet) continue
        for (let more = true; more; ) {
          const answer = (await rpc(at(0).url, wallet.key, 'irn_batchFetchMessages', {
            topics: [wallet.topic],
          })) as { result: { messages: { message: string }[]; hasMore: boolean } }
          for (const { message } of answer.result.messages) ledger.arrived.add(messageIdOf(message))
          more = answer.result.hasMore
        }
        ledger.toFetch.delete(token)
      }
    }
    await eventually(async () => {
      await fetchMore()
      const lost = sent.filter(({ id }) => !ledger.arrived.has(id))
      expect(lost.map(({ nth }) => `message ${nth} of wallet ${nth % wallets.length}`)).toEqual([])
    }, DRAIN_MS)
    expect(Math.max(0, ...ledger.surplus.values())).toBeLessThanOrEqual(KILLS)
  }, 7_200_000)
})
