import { describe, expect, it } from 'vitest'
import type { RelayMessage } from '../../../src/relay/client/index.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { createGate, links, manyMessages, publishOn, startTrusting } from '../../support/world/relay-links.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })

describe.each(links)('a link to the relay %s', (_, linkTo) => {
  it('is given messages whole, and never its own nor one twice', async () => {
    await using relay = await startTrusting()
    const received: RelayMessage[] = []
    await using link = linkTo(relay, relay.key, { onMessage: (message) => void received.push(message) })
    await using other = connect(relay.url)
    const topic = randomTopic()
    await link.subscribe([topic.toUpperCase()])
    const [own, first, last] = [randomMessage(), randomMessage(), randomMessage()]
    await publishOn(topic, link)(own)
    await other.publish({ topic, message: first, tag: 4000, ttl: 60, attestation: 'att' })
    await other.publish({ topic, message: first, tag: 4000, ttl: 60 })
    await other.publish({ topic, message: last, tag: 4001, ttl: 60 })
    await eventually(() => expect(received).toHaveLength(2))
    const publishedAt = expect.any(Number)
    expect(received).toEqual([
      { topic, message: first, tag: 4000, attestation: 'att', publishedAt },
      { topic, message: last, tag: 4001, attestation: '', publishedAt },
    ])
  })

  it('handles a lane in order, one after the other, while others go on', async () => {
    await using relay = await startTrusting()
    const [slow, fast] = [randomTopic(), randomTopic()]
    const held = createGate()
    const handled: string[] = []
    let atWork = 0
    await using link = linkTo(relay, relay.key, {
      laneOf: ({ topic }) => (topic === slow ? 'slow' : undefined),
      async onMessage({ topic, message }) {
        if (topic === slow) {
          atWork++
          expect(atWork).toBe(1)
          await held.passed
          atWork--
        }
        handled.push(message)
      },
    })
    await using other = connect(relay.url)
    await link.subscribe([slow, fast])
    const [waiting, quick] = [manyMessages(50), manyMessages(50)]
    await Promise.all([...waiting.map(publishOn(slow, other)), ...quick.map(publishOn(fast, other))])
    await eventually(() => expect(handled.toSorted()).toEqual(quick.toSorted()))
    held.open()
    await eventually(() => expect(handled.slice(50)).toEqual(waiting))
  })

  it('acknowledges what is handled, no sooner', async () => {
    await using relay = await startTrusting()
    const held = createGate()
    let begun = 0
    await using link = linkTo(relay, relay.key, {
      async onMessage() {
        begun++
        await held.passed
      },
    })
    await using other = connect(relay.url)
    const topic = randomTopic()
    const message = randomMessage()
    await link.subscribe([topic])
    await publishOn(topic, other)(message)
    await eventually(() => expect(begun).toBe(1))
    expect(await relay.waiting(topic)).toEqual([message])
    held.open()
    await eventually(async () => expect(await relay.waiting(topic)).toEqual([]))
    expect(begun).toBe(1)
  })

  it('is given again what it could not handle, and what it had not handled when it went', async () => {
    await using relay = await startTrusting({ limits: { redeliverAfterMs: 200 } })
    const topic = randomTopic()
    const [faulty, unfinished] = [randomMessage(), randomMessage()]
    let attempts = 0
    const given: RelayMessage[] = []
    // The message is made text for this one, whatever the link is given.
    await using witness = connect(relay.url, { onMessage: (message) => void given.push(message) })
    await witness.subscribe([topic])
    await using other = connect(relay.url)
    const clock = manualClock(Date.now())
    const first = linkTo(
      relay,
      relay.key,
      {
        async onMessage(message) {
          if (message.message === unfinished) return new Promise(() => {})
          given.push(message)
          attempts++
          if (attempts < 3) throw new Error('not yet')
        },
      },
      clock,
    )
    await first.subscribe([topic])
    await publishOn(topic, other)(faulty)
    await eventually(() => expect(attempts).toBe(3))
    await eventually(() => expect(given).toHaveLength(4))
    for (const message of given) expect(message).toEqual({ ...given[0], topic, message: faulty })
    await eventually(async () => expect(await relay.waiting(topic)).toEqual([]))
    await publishOn(topic, other)(unfinished)
    await eventually(async () => expect(await relay.waiting(topic)).toEqual([unfinished]))
    let isClosed = false
    const closing = first[Symbol.asyncDispose]().then(() => {
      isClosed = true
    })
    // It waits for its handler, but not for ever.
    await eventually(async () => {
      await clock.advance(1_000)
      expect(isClosed).toBe(true)
    })
    await closing
    const again: string[] = []
    await using _second = linkTo(relay, relay.key, { onMessage: ({ message }) => void again.push(message) })
    await eventually(() => expect(again).toEqual([unfinished]))
    expect(attempts).toBe(3)
  })

  it('holds no more than its window, and no more to publish than it is told to', async () => {
    await using relay = await startTrusting({ limits: { inFlightMessages: 8 } })
    const held = createGate()
    const begun: string[] = []
    await using link = linkTo(relay, relay.key, {
      maxQueued: 10,
      laneOf: () => undefined,
      async onMessage({ message }) {
        begun.push(message)
        await held.passed
      },
    })
    await using other = connect(relay.url)
    const topics = Array.from({ length: 40 }, randomTopic)
    await link.subscribe(topics)
    await Promise.all(topics.map((topic) => publishOn(topic, other)(randomMessage())))
    await eventually(() => expect(begun).toHaveLength(8))
    const [topic = ''] = topics
    const outcomes = await Promise.allSettled(manyMessages(12).map(publishOn(topic, link)))
    expect(outcomes.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))).toEqual([
      code('unavailable'),
      code('unavailable'),
    ])
    // Nothing else was handed over meanwhile.
    expect(begun).toHaveLength(8)
    held.open()
    await eventually(() => expect(new Set(begun).size).toBe(40))
  })

  it('closed while it handles, acknowledges what it ends', async () => {
    await using relay = await startTrusting()
    const held = createGate()
    let begun = 0
    const link = linkTo(relay, relay.key, {
      async onMessage() {
        begun++
        await held.passed
      },
    })
    await using other = connect(relay.url)
    const topic = randomTopic()
    await link.subscribe([topic])
    const [message, next] = [randomMessage(), randomMessage()]
    await publishOn(topic, other)(message)
    await publishOn(topic, other)(next)
    await eventually(() => expect(begun).toBe(1))
    const closing = link[Symbol.asyncDispose]()
    held.open()
    await closing
    // The one that was not begun waits for the next start.
    await eventually(async () => expect(await relay.waiting(topic)).toEqual([next]))
    expect(begun).toBe(1)
  })
})
