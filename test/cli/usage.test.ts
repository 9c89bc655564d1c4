import { afterAll, beforeAll, expect, it } from 'vitest'
import { startPulse } from '../security/pulse.ts'
import { connect, randomMessage, randomTopic } from '../support/world/scripted-relay.ts'
import { startWorld, type World } from '../support/world.ts'
import { commandLineOf } from './belfry.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const belfry = (...words: string[]) => commandLineOf(world).belfry(words)
const json = (...words: string[]) => commandLineOf(world).json(...words)

it('usage says who holds most, topic shows and clears it, and nobody else notices', async () => {
  await using pulse = await startPulse(world)
  const [topic, another] = [randomTopic(), randomTopic()]
  await using writer = connect(world.url)
  for (let at = 0; at < 30; at++) {
    await writer.publish({ topic, message: randomMessage(3_000), tag: 1, ttl: 3_600 })
  }
  await writer.publish({ topic: another, message: randomMessage(300), tag: 1, ttl: 3_600 })

  const tables: { room: string; what: string; by: string; top: { owner: string; rows: number }[] }[] =
    await json('usage', '--top', '3')
  const topOf = (what: string, by: string) =>
    tables.find((one) => one.what === what && one.by === by && ['relay', 'notify'].includes(one.room))?.top
  // How much the pulse holds meanwhile depends on how fast the machine is.
  const held = (row: object) => expect.arrayContaining([expect.objectContaining(row)])
  expect(topOf('messages', 'topic')).toEqual(held({ owner: topic, rows: 30, bytes: 30 * 4_000 }))
  expect(topOf('messages', 'publisher')).toEqual(held({ rows: 31 }))
  expect(topOf('messages', 'payer')).toEqual(held({ owner: expect.stringMatching(/^[\w-]{11}$/) }))
  expect(topOf('notifications', 'app')?.[0]).toMatchObject({ owner: 'pulse.example' })
  expect(topOf('subscriptions', 'app')).toMatchObject([{ owner: 'pulse.example', rows: 1 }])
  expect((await belfry('usage')).stdout).toContain(`relay: messages by topic`)

  const shown = await json('topic', 'show', topic)
  expect(shown).toMatchObject({ topic, messages: 30, bytes: 30 * 4_000, publisherCount: 1, payerCount: 1 })
  const [{ payer }] = shown.payers
  expect(topOf('messages', 'payer')).toEqual(held({ owner: payer }))
  expect((await belfry('topic', 'show', topic)).stdout).toContain(`30 messages, 117.2 KiB  ${payer}`)
  expect(await belfry('topic', 'clear', topic)).toMatchObject({
    code: 1,
    stderr: 'Say --yes: what is removed does not come back.\n',
  })
  expect(await json('topic', 'clear', topic, '--yes', '--publisher', 'did:key:znobody')).toMatchObject({
    removed: 0,
  })
  const [{ publisher }] = shown.publishers
  expect(await json('topic', 'clear', topic, '--yes', '--publisher', publisher)).toEqual({
    topic,
    removed: 30,
  })
  expect(await json('topic', 'show', topic)).toMatchObject({ messages: 0, oldestAt: null })
  await writer.publish({ topic, message: randomMessage(300), tag: 1, ttl: 3_600 })
  expect(await json('topic', 'clear', topic, '--yes', '--payer', 'house')).toMatchObject({ removed: 0 })
  expect(await json('topic', 'clear', topic, '--yes', '--payer', payer)).toMatchObject({ removed: 1 })
  expect((await belfry('topic', 'show', another)).stdout).toContain('1 messages, 400 B')
  await pulse.next()
  await pulse.stop()
}, 120_000)

it('topic takes the domain of an app and server for the topics of their requests', async () => {
  const app = await world.addApp('topics.example')
  const { createHash } = await import('node:crypto')
  const requests = createHash('sha256').update(Buffer.from(app.subscribeKey, 'hex')).digest('hex')
  expect(await json('topic', 'show', 'topics.example')).toMatchObject({
    topic: requests,
    members: [{ isSubscribed: true }],
  })
  expect(await json('topic', 'show', 'server')).toMatchObject({ members: [{ isSubscribed: true }] })
  expect(await belfry('topic', 'show', 'nobody.example')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no topic and no app of that name'),
  })
  expect((await belfry('usage', '--top', '0')).code).toBe(2)
  expect((await world.http('GET', '/admin/usage')).status).toBe(401)
}, 120_000)
