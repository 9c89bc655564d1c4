import { describe, expect, it } from 'vitest'
import { eventually } from '../../support/eventually.ts'
import { inProcess, links, publishOn, startTrusting } from '../../support/world/relay-links.ts'
import { connect, randomMessage, randomTopic } from '../../support/world/scripted-relay.ts'

const code = (expected: string) => expect.objectContaining({ code: expected })

describe.each(links)('a link to the relay %s', (_, linkTo) => {
  it('says whether it is connected', async () => {
    await using relay = await startTrusting()
    const link = linkTo(relay, relay.key)
    const heard: boolean[] = []
    using _listening = link.onConnectionChange(() => void heard.push(link.connected))
    expect(link.connected).toBe(false)
    await link.ready()
    expect(link.connected).toBe(true)
    await link[Symbol.asyncDispose]()
    expect(link.connected).toBe(false)
    expect(heard).toEqual([true, false])
  })

  it('owns the topics that it asks for alone, and leaves those that it unsubscribes', async () => {
    await using relay = await startTrusting()
    const received: string[] = []
    const overheard: string[] = []
    await using link = linkTo(relay, relay.key, { onMessage: ({ message }) => void received.push(message) })
    const [owned, left, last] = [randomTopic(), randomTopic(), randomTopic()]
    await link.subscribe([owned], { exclusive: true })
    await link.subscribe([left, last])
    await link.unsubscribe([left])
    await using stranger = connect(relay.url, { onMessage: ({ message }) => void overheard.push(message) })
    await stranger.subscribe([owned, left])
    await using other = connect(relay.url)
    const [secret, missed, end] = [randomMessage(), randomMessage(), randomMessage()]
    await publishOn(owned, other)(secret)
    await publishOn(left, other)(missed)
    await publishOn(last, other)(end)
    await eventually(() => expect(received.toSorted()).toEqual([secret, end].toSorted()))
    await eventually(() => expect(overheard).toEqual([missed]))
  })
})

it('a link within a process ends with its relay, and says so to all who wait', async () => {
  await using relay = await startTrusting()
  const link = inProcess(relay, relay.key)
  const heard: boolean[] = []
  using _listening = link.onConnectionChange(() => void heard.push(link.connected))
  await link.ready()
  const call = link.publish({ topic: randomTopic(), message: randomMessage(), tag: 1, ttl: 60 })
  const outcome = call.then(
    () => 'published',
    (error: unknown) => error,
  )
  await relay.stop()
  expect(['published', code('unavailable')]).toContainEqual(await outcome)
  expect(heard).toEqual([true, false])
  await expect(link.subscribe([randomTopic()])).rejects.toEqual(code('unavailable'))
  await expect(link.ready()).rejects.toEqual(code('unavailable'))
  await link[Symbol.asyncDispose]()
})
