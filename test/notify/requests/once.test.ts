/** A request takes effect once, by its commit: what comes again is known there, and no fault of it is answered. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromHex } from '../../../src/protocol/bytes.ts'
import { startNotify, type TestNotify, TYPES, type View } from '../../support/world/notify.ts'
import type { Device, Sent } from '../support/wallet.ts'

let world: TestNotify
beforeAll(async () => {
  world = await startNotify()
})
afterAll(() => world[Symbol.asyncDispose]())

const [NEWS = '', OFFERS = ''] = TYPES.map(({ id }) => id)

const subscribed = async (device: Device): Promise<Uint8Array> => {
  const { claims } = await world.ask(device.subscribe(world.app, [NEWS]))
  return fromHex((claims.sbs as View[])[0]?.symKey ?? '')
}
const expectSilence = async (sent: Sent) => {
  await world.settled()
  const before = world.loop.published.length
  await world.loop.deliver(sent)
  await world.settled()
  expect(world.loop.published.length).toBe(before)
}

describe('a message that the relay delivers again', () => {
  it('is no fault when its JWT has expired meanwhile', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    // JWTs tell whole seconds: late in one, a request is remembered for most of a second longer than its JWT is good.
    await world.hands.advance(1_900 - (world.clock.now() % 1_000))
    const sent = device.ask(4008, world.app, key, { scp: OFFERS })
    await world.ask(sent)
    await world.hands.advance(599_500)
    await expectSilence(sent)
    expect(world.recorder.counts.get('notify_requests_total wc_notifyUpdate repeated')).toBeGreaterThan(0)
  })

  it('is no fault when the subscription is gone meanwhile', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const [update, remove] = [
      device.ask(4008, world.app, key, { scp: OFFERS }),
      device.ask(4004, world.app, key),
    ]
    for (const sent of [update, remove]) expect((await world.ask(sent)).rpc.kind).toBe('result')
    const undecryptable = () =>
      [...world.recorder.counts.keys()].filter((one) => one.includes('undecryptable'))
    const before = undecryptable()
    for (const sent of [update, remove]) await expectSilence(sent)
    expect(undecryptable()).toEqual(before)
  })

  it('many times at once takes effect once', async () => {
    const device = world.newDevice()
    const key = await subscribed(device)
    const sent = device.ask(4008, world.app, key, { scp: OFFERS })
    await Promise.all(Array.from({ length: 20 }, () => world.loop.deliver(sent)))
    await world.settled()
    expect(world.publishedOn(sent.answerTopic, 4009, sent.key)).toHaveLength(1)
  })
})

describe('requests about one account at the same time', () => {
  it('all take effect, whoever read the account before it changed', async () => {
    const owner = world.newDevice().owner
    const devices = Array.from({ length: 8 }, () => world.newDevice({ owner }))
    const [first] = devices
    if (!first) throw new Error('there are eight')
    const key = await subscribed(first)
    const sent = devices.flatMap((device) => [
      device.ask(4008, world.app, key, { scp: NEWS }),
      device.watch(world.address),
      device.ask(4008, world.app, key, { scp: `${NEWS} ${OFFERS}` }),
    ])
    await Promise.all(sent.map((one) => world.loop.deliver(one)))
    await world.settled()
    for (const { answerTopic, tag, key } of sent) {
      const answers = world.publishedOn(answerTopic, tag + 1, key)
      expect(answers.length).toBeGreaterThan(0)
      for (const { rpc } of answers) expect(rpc.kind).toBe('result')
    }
    const { record } = await world.store.account(
      owner.account.replace(/^eip155:\d+:/, 'eip155:').toLowerCase(),
    )
    expect(record.watchers).toHaveLength(8)
    expect(record.subscriptions).toHaveLength(1)
  })
})
