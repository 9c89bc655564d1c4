import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import {
  type AckBatcher,
  type Acknowledged,
  createAckBatcher,
} from '../../../src/relay/delivery/ack-batcher.ts'
import { allPending, client, hex, message, T, topic } from '../../contract/relay-samples.ts'
import { manualClock } from '../../support/clock.ts'
import { eventually } from '../../support/eventually.ts'
import { lmdb, type TestStores } from '../../support/stores.ts'

const TEXTS = Array.from({ length: 600 }, (_, at) => `m ${at}`)
const reader = client('reader')
const other = client('other')
const of = topic('read')

let stores: TestStores
let clock: ReturnType<typeof manualClock>
let batcher: AckBatcher
/** The groups that were written, as what follows from them was told. */
let groups: (readonly Acknowledged[])[]

beforeEach(async () => {
  stores = await lmdb.open()
  clock = manualClock(T)
  groups = []
  const { relay: store } = stores
  const before = async (all: readonly Acknowledged[]) => void groups.push(all)
  batcher = createAckBatcher({ store, clock, before, log: silent, meter: unmeasured })
  for (const one of [reader, other]) await store.subscribe(one, [of], { now: T })
  await store.publish(TEXTS.map((text) => message(of, text)))
})
afterEach(() => stores[Symbol.asyncDispose]())

const acknowledge = (texts: readonly string[], clientId = reader) => {
  for (const text of texts) batcher.acknowledge({ clientId, topic: of, id: hex(text), seen: undefined })
}
const waiting = async (clientId = reader) => (await allPending(stores.relay, clientId, of)).length
const sizes = () => groups.map(({ length }) => length)

describe('acknowledgements', () => {
  it('of one tick are written at once, after what follows from them', async () => {
    acknowledge(TEXTS.slice(0, 3))
    expect(sizes()).toEqual([])
    await eventually(async () => expect(await waiting()).toBe(597))
    expect(sizes()).toEqual([3])
  })

  it('that follow within a tenth of a second are one group', async () => {
    acknowledge(TEXTS.slice(0, 1))
    await eventually(async () => expect(await waiting()).toBe(599))
    for (const text of TEXTS.slice(1, 8)) {
      acknowledge([text])
      await clock.advance(10)
    }
    expect(sizes()).toEqual([1])
    await clock.advance(30)
    await eventually(async () => expect(await waiting()).toBe(592))
    expect(sizes()).toEqual([1, 7])
  })

  it('of a client whose mailbox is to be read are written first, with those of others', async () => {
    acknowledge(TEXTS.slice(0, 1))
    await batcher.whenDurable(reader)
    acknowledge(TEXTS.slice(1, 3))
    acknowledge(TEXTS.slice(0, 5), other)
    await clock.advance(50)
    expect(await waiting()).toBe(599)
    expect(batcher.whenDurable(client('who has none'))).toBeUndefined()
    await batcher.whenDurable(reader)
    expect([await waiting(), await waiting(other)]).toEqual([597, 595])
    expect(batcher.whenDurable(reader)).toBeUndefined()
  })

  it('of five hundred messages wait for nothing', async () => {
    acknowledge(TEXTS.slice(0, 1))
    await batcher.whenDurable(reader)
    acknowledge(TEXTS.slice(1, 500))
    await clock.advance(0)
    expect(sizes()).toEqual([1])
    acknowledge(TEXTS.slice(500, 501))
    await eventually(async () => expect(await waiting()).toBe(99))
    expect(sizes()).toEqual([1, 500])
  })

  it('are all written at the end', async () => {
    acknowledge(TEXTS.slice(0, 1))
    await batcher.whenDurable(reader)
    acknowledge(TEXTS.slice(1, 3))
    await batcher.idle()
    expect(await waiting()).toBe(597)
  })
})
