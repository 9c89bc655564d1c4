import { describe, expect, it } from 'vitest'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { eventually } from '../../support/eventually.ts'
import { links, manyMessages, publishOn, startTrusting } from '../../support/world/relay-links.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })

describe.each(links)('a link to the relay %s', (_, linkTo) => {
  it('publishes in the order of the calls, and what is published is durable then', async () => {
    await using relay = await startTrusting()
    const received: string[] = []
    await using reader = connect(relay.url, { onMessage: ({ message }) => void received.push(message) })
    const topic = randomTopic()
    await reader.subscribe([topic])
    await using link = linkTo(relay, relay.key)
    const messages = manyMessages(1_200)
    // Before it is connected, too.
    await Promise.all(messages.slice(0, 800).map(publishOn(topic, link)))
    await Promise.all(messages.slice(800).map(publishOn(topic, link)))
    const stranger = generateSigningKey().did
    await relay.store.subscribe(stranger, [topic], { now: Date.now() })
    expect(await relay.waiting(topic, stranger)).toEqual(messages)
    await eventually(() => expect(received).toEqual(messages))
  })

  it('refuses what the relay refuses, and nothing else of the same call', async () => {
    // Fewer than are asked for one by one, once the batch was refused: the others wait.
    await using relay = await startTrusting({ limits: { requestsInProgress: 4 } })
    const received: string[] = []
    await using reader = connect(relay.url, { onMessage: ({ message }) => void received.push(message) })
    const topic = randomTopic()
    await reader.subscribe([topic])
    await using link = linkTo(relay, relay.key)
    await link.ready()
    const messages = manyMessages(300)
    const outcomes = await Promise.allSettled([
      ...messages.slice(0, 100).map(publishOn(topic, link)),
      link.publish({ topic, message: randomMessage(), tag: 1, ttl: 2_592_001 }),
      link.publish({ topic: 'no topic', message: randomMessage(), tag: 1, ttl: 60 }),
      ...messages.slice(100).map(publishOn(topic, link)),
    ])
    const refused = outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(refused).toEqual([code('bad_params'), code('bad_params')])
    await eventually(() => expect(received).toEqual(messages))
    const tooLarge = 'A'.repeat(256 * 1024 + 1)
    await expect(publishOn(topic, link)(tooLarge)).rejects.toEqual(code('too_large'))
    await expect(link.subscribe(['no topic'])).rejects.toEqual(code('bad_params'))
  })

  it('closed while it publishes, settles every call, and has told the truth', async () => {
    await using relay = await startTrusting()
    const link = linkTo(relay, relay.key)
    await link.ready()
    const topic = randomTopic()
    const reader = generateSigningKey().did
    await relay.store.subscribe(reader, [topic], { now: Date.now() })
    const messages = manyMessages(3_000)
    const calls = messages.map(publishOn(topic, link))
    const settled = Promise.allSettled(calls)
    await calls[0]
    await link[Symbol.asyncDispose]()
    const outcomes = await settled
    const stored = new Set(await relay.waiting(topic, reader))
    for (const [at, outcome] of outcomes.entries()) {
      if (outcome.status === 'fulfilled') expect(stored).toContain(messages[at])
      else expect(outcome.reason).toEqual(code('unavailable'))
    }
    await expect(publishOn(topic, link)(randomMessage())).rejects.toEqual(code('unavailable'))
    await expect(link.subscribe([topic])).rejects.toEqual(code('unavailable'))
    await expect(link.ready()).rejects.toEqual(code('unavailable'))
  })

  it('pays nothing', async () => {
    await using relay = await startTrusting({ work: { burst: 100, seconds: 100_000 } })
    await using link = linkTo(relay, relay.key)
    await Promise.all(manyMessages(1_000).map(publishOn(randomTopic(), link)))
    await link.subscribe(Array.from({ length: 1_000 }, randomTopic))
  })
})
