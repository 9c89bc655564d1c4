import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import type { RelayMessage } from '../../../src/relay/client/index.ts'
import { openRedis } from '../../../src/storage/redis/open.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { sharedRedis } from '../../support/redis.ts'
import { removeKeys } from '../../support/redis-keys.ts'
import { bySocket, links, manyMessages, publishOn, startTrusting } from '../../support/world/relay-links.ts'
import { connect, randomTopic } from '../../support/world/scripted-relay.ts'

describe.each(links)('a link to the relay %s', (_, linkTo) => {
  it('divides messages with the others of its client, whatever connects them', async () => {
    await using relay = await startTrusting()
    const topic = randomTopic()
    const handled: string[][] = [[], []]
    const share = (part: string[] | undefined) => ({
      share: true,
      onMessage: ({ message }: RelayMessage) => void part?.push(message),
    })
    await using link = linkTo(relay, relay.key, share(handled[0]))
    await using neighbour = bySocket(relay, relay.key, share(handled[1]))
    await Promise.all([link.subscribe([topic]), neighbour.ready()])
    await using other = connect(relay.url)
    const messages = manyMessages(60)
    await Promise.all(messages.map(publishOn(topic, other)))
    await eventually(() => expect(handled.flat().toSorted()).toEqual(messages.toSorted()))
    for (const part of handled) expect(part.length).toBeGreaterThan(10)
  })

  it('divides messages with another process on one Redis, which takes over from one that stops', async () => {
    const { url } = await sharedRedis()
    const prefix = `belfry-links-${randomBytes(4).toString('hex')}:`
    await using _keys = { [Symbol.asyncDispose]: () => removeKeys(url, prefix) }
    const key = generateSigningKey()
    const limits = { catchUpEveryMs: 500 }
    const processOptions = { key, limits, open: () => openRedis({ url, prefix }) }
    await using here = await startTrusting(processOptions)
    await using there = await startTrusting(processOptions)
    const handled = { here: [] as string[], there: [] as string[] }
    const hang = new Set<string>()
    const begun: string[] = []
    const handler =
      (name: 'here' | 'there') =>
      async ({ message }: RelayMessage) => {
        if (name === 'here' && hang.has(message)) {
          begun.push(message)
          return new Promise<void>(() => {})
        }
        handled[name].push(message)
      }
    const clock = manualClock(Date.now())
    const laneOf = () => undefined
    const first = linkTo(here, key, { share: true, laneOf, onMessage: handler('here') }, clock)
    await using second = linkTo(there, key, { share: true, laneOf, onMessage: handler('there') })
    const topic = randomTopic()
    await Promise.all([first.subscribe([topic], { exclusive: true }), second.ready()])
    await using alice = connect(here.url)
    await using bob = connect(there.url)
    const all = () => [...handled.here, ...handled.there].toSorted()

    const messages = manyMessages(40)
    await Promise.all(messages.map((message, at) => publishOn(topic, at % 2 ? alice : bob)(message)))
    await eventually(() => expect(all()).toEqual(messages.toSorted()))

    const stuck = manyMessages(4)
    for (const message of stuck) hang.add(message)
    await Promise.all(stuck.map(publishOn(topic, alice)))
    await eventually(() => expect([...begun, ...handled.there]).toEqual(expect.arrayContaining(stuck)))

    const closing = first[Symbol.asyncDispose]()
    await eventually(async () => {
      await clock.advance(1_000)
      expect(first.connected).toBe(false)
    })
    await closing
    await eventually(() => expect(all()).toEqual([...messages, ...stuck].toSorted()))
    const later = manyMessages(4)
    await Promise.all(later.map(publishOn(topic, alice)))
    await eventually(() => expect(all()).toEqual([...messages, ...stuck, ...later].toSorted()))
  })
})
