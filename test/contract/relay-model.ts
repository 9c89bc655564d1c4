import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { RelayStore } from '../../src/relay/store.ts'
import type { Engine } from '../support/stores.ts'
import { client, hex, message, T, textsOf, topic, waitingTopics } from './relay-samples.ts'

const topics = [topic('a'), topic('b')]
const clients = [client('alice'), client('bob')]

type Step =
  | { do: 'publish'; topic: number; text: number; publisher: number; lives: number }
  | { do: 'acknowledge'; client: number; receipts: { topic: number; text: number }[] }
  | { do: 'subscribe' | 'unsubscribe'; client: number; topic: number }
  | { do: 'sweep' }
  | { do: 'wait'; ms: number }

const which = (length: number) => fc.integer({ min: 0, max: length - 1 })
const text = fc.integer({ min: 0, max: 12 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      topic: which(2),
      text,
      // The third one is nobody's.
      publisher: which(3),
      lives: fc.constantFrom(3, 10, 1000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('acknowledge' as const),
      client: which(2),
      receipts: fc.array(fc.record({ topic: which(2), text }), { minLength: 1, maxLength: 4 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('subscribe' as const, 'unsubscribe' as const),
      client: which(2),
      topic: which(2),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'sweep' }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 6 }) }),
  },
)

interface Kept {
  topic: string
  text: string
  publisher: string
  expiresAt: number
  acknowledgedBy: Set<string>
}

/** The relay's promises in their plainest form: a list of messages, each with those who have acknowledged it. */
const createModel = () => {
  let now = T
  const messages: Kept[] = []
  const subscribed = new Map(clients.map((one) => [one, new Set<string>()]))
  const live = () => messages.filter(({ expiresAt }) => expiresAt > now)
  const pending = (who: string, of: string) =>
    live().filter((one) => one.topic === of && one.publisher !== who && !one.acknowledgedBy.has(who))
  return { now: () => now, pass: (ms: number) => (now += ms), messages, subscribed, live, pending }
}

const run = async (store: RelayStore, model: ReturnType<typeof createModel>, one: Step): Promise<void> => {
  if (one.do === 'wait') model.pass(one.ms)
  if (one.do === 'sweep') await store.sweep(model.now(), 1000)
  if (one.do === 'publish') {
    const of = topics[one.topic] ?? ''
    const publisher = clients[one.publisher] ?? client('nobody')
    const words = `${one.text}`
    const publishedAt = model.now()
    const expiresAt = publishedAt + one.lives
    const isKnown = model.live().some((kept) => kept.topic === of && kept.text === words)
    const expected = clients
      .filter((who) => who !== publisher && model.subscribed.get(who)?.has(of))
      .map((clientId) => ({ clientId, caughtUp: model.pending(clientId, of).length === 0 }))
    const [answer] = await store.publish([message(of, words, { publisher, publishedAt, expiresAt })])
    expect(answer?.outcome).toBe(isKnown ? 'duplicate' : 'stored')
    if (answer?.outcome !== 'stored') return
    expect(answer.subscribers.sort((x, y) => (x.clientId < y.clientId ? -1 : 1))).toEqual(expected)
    model.messages.push({ topic: of, text: words, publisher, expiresAt, acknowledgedBy: new Set() })
  }
  if (one.do === 'acknowledge') {
    const who = clients[one.client] ?? ''
    const receipts = one.receipts.map((receipt) => ({
      topic: topics[receipt.topic] ?? '',
      id: hex(`${receipt.text}`),
    }))
    await store.acknowledge(who, receipts)
    for (const kept of model.live()) {
      if (receipts.some(({ topic: of, id }) => of === kept.topic && id === hex(kept.text))) {
        kept.acknowledgedBy.add(who)
      }
    }
  }
  if (one.do === 'subscribe' || one.do === 'unsubscribe') {
    const who = clients[one.client] ?? ''
    const of = topics[one.topic] ?? ''
    const own = model.subscribed.get(who)
    if (one.do === 'subscribe') {
      await store.subscribe(who, [of], { now: model.now() })
      own?.add(of)
    } else {
      await store.unsubscribe(who, [of])
      own?.delete(of)
    }
  }
}

/** Any sequence of calls leaves what the plain model says. */
export const relayModelContract = (engine: Engine): void => {
  describe(`any history of the relay store on ${engine.name}`, () => {
    it('leaves for each client exactly what a plain list of messages would', async () => {
      await using stores = await engine.open()
      let round = 0
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
          // Fresh names instead of a fresh store for every round: opening one takes longer than the round.
          round += 1
          for (const at of topics.keys()) topics[at] = topic(`${round} ${at}`)
          for (const at of clients.keys()) clients[at] = client(`${at} of round ${round}`)
          const model = createModel()
          for (const one of steps) {
            await run(stores.relay, model, one)
            for (const who of clients) {
              for (const of of topics) {
                const expected = model.pending(who, of).map(({ text: words }) => words)
                expect(await textsOf(stores.relay, who, of, { now: model.now(), limit: 3 })).toEqual(expected)
                expect(await stores.relay.isSubscribed(who, of)).toBe(model.subscribed.get(who)?.has(of))
              }
              const named = await waitingTopics(stores.relay, who, model.now())
              for (const of of model.subscribed.get(who) ?? []) {
                if (model.pending(who, of).length > 0) expect(named).toContain(of)
              }
            }
          }
        }),
        { numRuns: 60 },
      )
    })
  })
}
