/** What strangers publish and subscribe to takes nothing from anybody else. */
import { expect, it } from 'vitest'
import type { Peer } from '../../scripts/bench/peer.ts'
import { fetchKeys } from '../../src/notify/client/app-keys.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { newOwner } from '../support/owner.ts'
import { crowd } from '../support/runs.ts'
import { newDevice, postNotification } from '../support/story.ts'
import { GROUNDS, type SecurityGround } from '../support/world/attacked-relay.ts'
import { ACCOMPLICE, connectFrom, STRANGER } from './relay-attackers.ts'

const DOMAIN = 'bystander.example'
const MONTH_S = 2_592_000
/** More than a topic keeps, 2,500 messages. */
const FLOOD = crowd(12_000, 3_000)
/** The flood costs more than an address may at once, at either size; it takes seconds at four times the default rate. */
const BUDGETS = `work: ${crowd(10_000, 2_500)}, 6000/s`
/** What a wallet asks is answered while it waits, whatever is in front of it. */
const PATIENCE_MS = 30_000

const within = async <T>(what: string, work: Promise<T>): Promise<T> => {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${PATIENCE_MS} ms`)), PATIENCE_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

/** A wallet that comes for the first time: it watches, subscribes, and receives a notification. */
const newcomer = async ({ server, relays, app }: SecurityGround): Promise<void> => {
  const owner = newOwner()
  const wallet = newDevice({ url: server, wsUrl: relays[0] ?? '' }, owner)
  try {
    await within('watch', wallet.watch())
    await within('subscribe', wallet.subscribe(DOMAIN))
    const arrived = new Promise<void>((resolve) => wallet.on('message', () => resolve()))
    const id = `${Math.random()}`
    await postNotification({ url: server }, app, { id, body: 'x', accounts: [owner.account] })
    await within('notification', arrived)
  } finally {
    await wallet[Symbol.asyncDispose]()
  }
  expect((await fetch(`${server}/health`)).status).toBe(200)
}

/** Where wallets ask, and the tag of what they ask there. */
const requestTopics = async ({ server, app }: SecurityGround) => {
  const keysOf = (path: string) => fetchKeys({ clock: systemClock, fetch }, `${server}${path}`)
  const [own, ofApp] = [await keysOf('/.well-known/did.json'), await keysOf(`/apps/${app.domain}/did.json`)]
  return [
    { topic: topicOf(own.subscribe), tag: 4010 },
    { topic: topicOf(ofApp.subscribe), tag: 4000 },
  ]
}

/** As long as what wallets ask, and an envelope by its shape: whoever has the key must open it to find that it is none. */
const junk = (): string => {
  const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(900)))
  bytes[0] = 1
  return bytes.toString('base64')
}

/** Messages in batches, several at once. */
const flood = async (peer: Peer, { topic, tag }: { topic: string; tag: number }, count: number) => {
  for (let at = 0; at < count; at += 1_000) {
    await Promise.all(
      Array.from({ length: 4 }, () =>
        peer.request('irn_batchPublish', {
          messages: Array.from({ length: 250 }, () => ({ topic, ttl: MONTH_S, tag, message: junk() })),
        }),
      ),
    )
  }
}

for (const { name, start } of GROUNDS) {
  it(`a stranger who fills the request topics locks nobody out, on ${name}`, async () => {
    await using ground = await start(DOMAIN, BUDGETS)
    await newcomer(ground)
    const topics = await requestTopics(ground)
    for (const { topic } of topics) {
      const peers = await Promise.all(ground.relays.map((relay) => connectFrom(STRANGER, relay)))
      for (const peer of peers) await peer.request('irn_subscribe', { topic })
      for (const peer of peers) peer.close()
    }
    for (const [which, place] of topics.entries()) {
      const flooder = await connectFrom([STRANGER, ACCOMPLICE][which] ?? '', ground.relays.at(-1) ?? '')
      await flood(flooder, place, FLOOD)
      await newcomer(ground)
      flooder.close()
    }
    await ground.restart()
    await newcomer(ground)
  }, 240_000)
}
