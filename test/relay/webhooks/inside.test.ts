/** What the relay tells a service of its own process. */
import { randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import { anyAddress } from '../../../src/platform/net/public-address.ts'
import { ProtocolError } from '../../../src/protocol/errors.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { messageIdOf } from '../../../src/protocol/topic.ts'
import type { InsideService } from '../../../src/relay/webhooks/posts.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { startReceiver } from '../../support/receiver.ts'
import { lmdb } from '../../support/stores.ts'
import { startWatchRelay } from '../../support/world/relay-webhooks.ts'

/** Nobody listens there. */
const HOOK = 'http://127.0.0.9:9/inside'

/** A service that keeps what it is told, and does with it what `effect` says. */
const newService = () => {
  const told: string[] = []
  const service = {
    told,
    urls: [HOOK],
    effect: async () => {},
    async take(events): Promise<void> {
      told.push(...events.map(({ evt }) => evt.message))
      await service.effect()
    },
  } satisfies InsideService & { told: string[]; effect: () => Promise<void> }
  return service
}

const start = async ({ trusted = true } = {}) => {
  const clock = manualClock(Date.now())
  const service = newService()
  const [sender, reader, topic] = [
    generateSigningKey(),
    generateSigningKey(),
    randomBytes(32).toString('hex'),
  ]
  const trusts = (clientId: string) => trusted && clientId === reader.did
  const relay = await startWatchRelay(lmdb, { clock, inside: service, trusts, rules: anyAddress })
  await relay.rpc(reader, 'irn_subscribe', { topic })
  return {
    ...{ relay, clock, service, reader },
    publish: (message: string) => relay.publish(sender, topic, message),
    /** Lets time pass until the service has been told so often. */
    toldTimes: (times: number) =>
      eventually(async () => {
        if (service.told.length < times) await clock.advance(1_000)
        expect(service.told).toHaveLength(times)
      }),
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  }
}

it('tells the events as they are, and posts those of another address of the same client', async () => {
  await using world = await start()
  const { relay, reader, service } = world
  await using receiver = await startReceiver({ signer: () => relay.key.did, now: world.clock.now })
  await relay.watch(reader, HOOK)
  await relay.watch(reader, `${receiver.url}/outside`, { sub: 'https://other.example' })
  await world.publish('hello')
  await world.toldTimes(1)
  await eventually(() =>
    expect(receiver.events().map(({ evt }) => evt.messageId)).toEqual([messageIdOf('hello')]),
  )
  expect(service.told).toEqual(['hello'])
})

it('tells it again, until it has taken effect', async () => {
  await using world = await start()
  const { relay, service } = world
  await relay.watch(world.reader, HOOK)
  service.effect = () => Promise.reject(new ProtocolError('unavailable'))
  await world.publish('refused')
  await world.toldTimes(2)
  service.effect = () => Promise.reject(new Error('a defect'))
  await world.toldTimes(3)
  service.effect = async () => {}
  await world.toldTimes(4)
  await relay.idle()
  await world.clock.advance(600_000)
  await relay.idle()
  expect(service.told).toHaveLength(4)
})

it('waits for an effect no longer than for the answer to a POST', async () => {
  await using world = await start()
  const { relay, service, clock } = world
  await relay.watch(world.reader, HOOK)
  service.effect = () => new Promise(() => {})
  await world.publish('stuck')
  await world.toldTimes(1)
  await clock.advance(9_000)
  expect(service.told).toHaveLength(1)
  service.effect = async () => {}
  await world.toldTimes(2)
})

it('tells it nothing of a client that is not trusted', async () => {
  await using world = await start({ trusted: false })
  const { relay, service, clock } = world
  await relay.watch(world.reader, HOOK)
  await world.publish('hello')
  await relay.idle()
  await clock.advance(60_000)
  await relay.idle()
  expect(service.told).toEqual([])
})
