import { randomBytes } from 'node:crypto'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ownerKeyOf } from '../../src/archive/owner-key.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'
import { messageIdOf } from '../../src/protocol/topic.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { hex } from '../contract/relay-samples.ts'
import { capturedLog } from '../support/capture/log.ts'
import { readMetric } from '../support/metrics.ts'
import { startWorld, type World } from '../support/world.ts'

const answer = z.object({
  topic: z.string(),
  direction: z.string(),
  nextId: z.string().nullable(),
  messages: z.array(z.object({ message: z.string(), message_id: z.string(), timestamp: z.number() })),
})

let world: World
beforeEach(async () => {
  world = await startWorld({ config: { metrics: 'shared' } })
})
afterEach(() => world[Symbol.asyncDispose]())

const token = (key: SigningKey, claims: object = {}) => {
  const iat = Math.floor(Date.now() / 1000)
  return signJwt(
    { iss: key.did, sub: 'ab'.repeat(32), aud: world.url, iat, exp: iat + 3_600, ...claims },
    key,
  )
}
const register = (key: SigningKey, tags: unknown, owners?: Record<string, string>) =>
  world.http('POST', '/register', { token: token(key), body: { tags, owners, relayUrl: world.wsUrl } })
const compact = (key: SigningKey, topic: string, bfr: string, claims: object = {}) =>
  world.http('POST', '/compact', {
    body: { compactAuth: token(key, { act: 'archive_compact', sub: topic, bfr, ...claims }) },
  })
const read = async (query: Record<string, string>) => {
  const { status, body } = await world.http('GET', `/messages?${new URLSearchParams(query)}`)
  expect(status).toBe(200)
  const { messages, ...rest } = answer.parse(body)
  return { texts: messages.map(({ message }) => message), messages, ...rest }
}

const connect = (key: SigningKey) =>
  createRelayClient({ clock: systemClock, log: capturedLog, meter: unmeasured }, { url: world.wsUrl, key })

const topic = hex('topic')
const publish = { topic, tag: 5000, ttl: 300 }

describe('the archive', () => {
  it('has what a registered client published as soon as that was acknowledged, in the published shape', async () => {
    const key = generateSigningKey()
    expect((await register(key, ['5000'])).status).toBe(200)
    await using client = connect(key)
    for (const message of ['one', 'two', 'three']) {
      await client.publish({ ...publish, message })
      expect((await read({ topic })).texts.at(-1)).toBe(message)
    }
    await client.publish({ ...publish, message: 'other', tag: 5001 })
    const all = await read({ topic: topic.toUpperCase(), direction: 'backward', messageCount: '200' })
    expect(all).toMatchObject({ topic, direction: 'backward', nextId: null, texts: ['three', 'two', 'one'] })
    expect(all.messages[0]?.message_id).toBe(messageIdOf('three'))
    expect(Math.abs((all.messages[0]?.timestamp ?? 0) - Date.now())).toBeLessThan(60_000)
  })

  it('begins a page with `originId`, and says with `nextId` where the next one begins', async () => {
    const key = generateSigningKey()
    await register(key, [5000])
    await using client = connect(key)
    for (const message of ['1', '2', '3', '4', '5']) await client.publish({ ...publish, message })
    const first = await read({ topic, messageCount: '2' })
    expect(first).toMatchObject({ direction: 'forward', texts: ['1', '2'], nextId: messageIdOf('3') })
    const second = await read({ topic, messageCount: '3', originId: messageIdOf('3') })
    expect(second).toMatchObject({ texts: ['3', '4', '5'], nextId: null })
    const back = await read({ topic, direction: 'backward', messageCount: '2', originId: messageIdOf('3') })
    expect(back).toMatchObject({ texts: ['3', '2'], nextId: messageIdOf('1') })
    expect((await world.http('GET', `/messages?topic=${topic}&originId=${hex('none')}`)).status).toBe(404)
  })

  it('keeps what comes for a registered subscriber, and nothing of topics in which nobody registered has a part', async () => {
    const [reader, writer] = [generateSigningKey(), generateSigningKey()]
    await register(reader, ['5000'])
    await using reading = connect(reader)
    await using writing = connect(writer)
    await reading.subscribe([topic])
    await writing.publish({ ...publish, message: 'forTheReader' })
    await writing.publish({ ...publish, topic: hex('elsewhere'), message: 'forNobody' })
    expect((await read({ topic })).texts).toEqual(['forTheReader'])
    expect((await read({ topic: hex('elsewhere') })).texts).toEqual([])
    expect(await readMetric(world.url, 'belfry_archive_kept_total')).toBe(1)
  })

  it('takes in what waits in the mailboxes of a client that registers', async () => {
    const [reader, writer] = [generateSigningKey(), generateSigningKey()]
    await using writing = connect(writer)
    await using reading = connect(reader)
    await reading.subscribe([topic])
    await writing.publish({ ...publish, message: 'before' })
    await writing.publish({ ...publish, message: 'anotherTag', tag: 1 })
    expect((await read({ topic })).texts).toEqual([])
    await register(reader, ['5000'])
    await writing.publish({ ...publish, message: 'after' })
    expect((await read({ topic })).texts).toEqual(['before', 'after'])
  })

  it('has a message that is published again, as the relay does, once', async () => {
    const key = generateSigningKey()
    await using client = connect(key)
    await client.publish({ ...publish, message: 'twice' })
    await register(key, ['5000'])
    await client.publish({ ...publish, message: 'twice' })
    await client.publish({ ...publish, message: 'twice' })
    expect((await read({ topic })).texts).toEqual(['twice'])
  })

  it('has everything after a restart, and goes on', async () => {
    const key = generateSigningKey()
    await register(key, ['5000'])
    await using client = connect(key)
    await client.publish({ ...publish, message: 'before' })
    await world.restart()
    await client.publish({ ...publish, message: 'after' })
    expect((await read({ topic })).texts).toEqual(['before', 'after'])
  })

  it('drops what the owner has before a message, and nothing of others', async () => {
    const symKey = randomBytes(32)
    const [owner, stranger] = [ownerKeyOf(symKey), generateSigningKey()]
    const [phone, desktop, published] = [generateSigningKey(), generateSigningKey(), generateSigningKey()]
    await register(phone, ['5000'], { [topic]: owner.did })
    await register(desktop, ['5000'], { [topic.toUpperCase()]: owner.did, [hex('elsewhere')]: stranger.did })
    await register(published, ['5000'])
    await register(stranger, ['5000'], { [topic]: stranger.did })
    for (const [key, message] of [
      [phone, '1'],
      [desktop, '2'],
      [published, '3'],
      [stranger, '4'],
      [phone, '5'],
      [phone, '6'],
    ] as const) {
      await using client = connect(key)
      await client.publish({ ...publish, message })
    }
    const before = messageIdOf('6')
    expect((await compact(owner, topic, hex('none'))).status).toBe(404)
    // Who has an owner's name but not its key, a client that published, a stranger: none of them drops another's.
    for (const key of [phone, published]) expect((await compact(key, topic, before)).status).toBe(200)
    expect((await compact(stranger, topic, before)).status).toBe(200)
    expect((await read({ topic })).texts).toEqual(['1', '2', '3', '5', '6'])
    for (const claims of [{ act: 'other' }, { act: undefined }, { exp: 1 }, { iss: stranger.did }]) {
      expect((await compact(owner, topic, before, claims)).status).toBe(401)
    }
    expect((await read({ topic })).texts).toEqual(['1', '2', '3', '5', '6'])
    expect((await compact(owner, topic, before)).status).toBe(200)
    expect((await read({ topic })).texts).toEqual(['3', '6'])
  })

  it('refuses who shows no token, or one for another server, and what it cannot read', async () => {
    const key = generateSigningKey()
    expect((await world.http('POST', '/register', { body: { tags: [] } })).status).toBe(401)
    expect((await register(key, ['5000x'])).status).toBe(422)
    expect((await register(key, Array(65).fill('1'))).status).toBe(422)
    expect((await register(key, [], { [topic]: 'did:key:zNot' })).status).toBe(422)
    expect((await register(key, [], { here: key.did })).status).toBe(422)
    const many = Array.from({ length: 33 }, (_, at) => [hex(`many ${at}`), key.did] as const)
    expect((await register(key, [], Object.fromEntries(many))).status).toBe(422)
    for (const query of ['topic=ab', `topic=${topic}&messageCount=0`, `topic=${topic}&direction=up`, ''])
      expect((await world.http('GET', `/messages?${query}`)).status).toBe(422)
    await using house = await startWorld({ config: { publicUrl: 'https://belfry.example' } })
    const post = (aud: string) =>
      house.http('POST', '/register', { token: token(key, { aud }), body: { tags: ['1'] } })
    expect((await post('https://other.example')).status).toBe(401)
    for (const aud of ['https://belfry.example', 'https://history.walletconnect.com'])
      expect((await post(aud)).status).toBe(200)
  })

  it('keeps nothing for longer than it was told, and no more of a topic', async () => {
    await using house = await startWorld({ config: { archiveMessages: 3 } })
    const key = generateSigningKey()
    await house.http('POST', '/register', { token: token(key), body: { tags: ['5000'] } })
    await using client = createRelayClient(
      { clock: systemClock, log: capturedLog, meter: unmeasured },
      { url: house.wsUrl, key },
    )
    for (const message of ['1', '2', '3', '4', '5']) await client.publish({ ...publish, message })
    const { body } = await house.http('GET', `/messages?topic=${topic}`)
    expect(answer.parse(body).messages.map(({ message }) => message)).toEqual(['3', '4', '5'])
    const all = { direction: 'forward', limit: 10, maxBytes: 1_000 } as const
    const later = Date.now() + 365 * 86_400_000
    expect((await house.stores.archive.page(topic, { ...all, now: later - 60_000 }))?.messages).toHaveLength(
      3,
    )
    expect((await house.stores.archive.page(topic, { ...all, now: later + 60_000 }))?.messages).toEqual([])
  })
})
