import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ProtocolError } from '../../src/protocol/errors.ts'
import type { Engine, TestStores } from '../support/stores.ts'
import {
  allPending,
  client,
  hex,
  MINUTE,
  message,
  stored,
  T,
  textsOf,
  topic,
  waitingTopics,
} from './relay-samples.ts'

const [a, b] = [topic('a'), topic('b')]
const [alice, bob, carol] = [client('alice'), client('bob'), client('carol')]
const page = { after: 0, limit: 100, maxBytes: 1_000_000, now: T }

/** What the relay may rely on, whatever the engine. */
export const relayStoreContract = (engine: Engine): void => {
  describe(`the relay store on ${engine.name}`, () => {
    let stores: TestStores
    const store = () => stores.relay
    beforeEach(async () => {
      stores = await engine.open()
    })
    afterEach(() => stores[Symbol.asyncDispose]())

    const acknowledge = (clientId: string, of: string, ...texts: string[]) =>
      store().acknowledge(
        clientId,
        texts.map((text) => ({ topic: of, id: hex(text) })),
      )

    describe('publishing', () => {
      it('keeps every field of a message as it was handed over', async () => {
        const whole = message(a, 'text with ünïcode ✓', {
          attestation: 'an attestation',
          tag: 1_234_567_890_123,
          publishedAt: T + 5,
          expiresAt: T + 99_999.5,
        })
        const { seq } = await stored(store(), whole)
        expect(await allPending(store(), alice, a)).toEqual([{ ...whole, seq }])
      })

      it('keeps a message of 256 KiB', async () => {
        const text = 'x'.repeat(256 * 1024)
        await stored(store(), message(a, text))
        expect(await textsOf(store(), alice, a)).toEqual([text])
      })

      it('answers in the order of the messages, with the same length', async () => {
        const answers = await store().publish([
          message(a, '1'),
          message(b, '1'),
          message(a, '1'),
          message(a, '2'),
        ])
        expect(answers.map(({ outcome }) => outcome)).toEqual(['stored', 'stored', 'duplicate', 'stored'])
        expect(await store().publish([])).toEqual([])
      })

      it('numbers the messages of a topic by publish order, and names the one before', async () => {
        const first = await stored(store(), message(a, '1'))
        await stored(store(), message(b, 'elsewhere'))
        const second = await stored(store(), message(a, '2'))
        expect(first.previousSeq).toBe(0)
        expect(second.seq).toBeGreaterThan(first.seq)
        expect(second.previousSeq).toBe(first.seq)
      })

      it('takes a live message with the same topic and id for a duplicate, whoever publishes it', async () => {
        await stored(store(), message(a, '1'))
        const again = [message(a, '1'), message(a, '1', { publisher: bob, publishedAt: T + 1 })]
        expect(await store().publish(again)).toEqual([{ outcome: 'duplicate' }, { outcome: 'duplicate' }])
        expect(await textsOf(store(), alice, a)).toEqual(['1'])
      })

      it('does not take an acknowledged message for gone: its retry is still a duplicate', async () => {
        await store().subscribe(alice, [a], { now: T })
        await stored(store(), message(a, '1'))
        await acknowledge(alice, a, '1')
        expect(await store().publish([message(a, '1')])).toEqual([{ outcome: 'duplicate' }])
      })

      it('stores a message again whose first copy has expired, without a sweep in between', async () => {
        await store().subscribe(alice, [a], { now: T })
        const first = await stored(store(), message(a, '1'))
        await acknowledge(alice, a, '1')
        const later = { publishedAt: T + MINUTE, expiresAt: T + 2 * MINUTE }
        const second = await stored(store(), message(a, '1', later))
        expect(second.seq).toBeGreaterThan(first.seq)
        expect(await textsOf(store(), alice, a, { now: T + MINUTE })).toEqual(['1'])
      })

      it('stores exactly one of many equal messages that are published at once', async () => {
        const answers = await Promise.all(
          Array.from({ length: 100 }, () => store().publish([message(a, '1')])),
        )
        expect(answers.flat().filter(({ outcome }) => outcome === 'stored')).toHaveLength(1)
      })

      it('gives concurrent messages of a topic different numbers', async () => {
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, at) => stored(store(), message(a, `${at}`))),
        )
        expect(new Set(answers.map(({ seq }) => seq)).size).toBe(100)
      })

      it('names every subscriber of the topic but the publisher', async () => {
        for (const one of [alice, bob, carol]) await store().subscribe(one, [a], { now: T })
        await store().unsubscribe(carol, [a])
        await store().subscribe(carol, [b], { now: T })
        const { subscribers } = await stored(store(), message(a, '1', { publisher: bob }))
        expect(subscribers).toEqual([{ clientId: alice, caughtUp: true }])
      })

      it('calls a subscriber caught up when nothing older waits for it', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().subscribe(bob, [a], { now: T })
        await stored(store(), message(a, '1'))
        await acknowledge(alice, a, '1')
        const { subscribers } = await stored(store(), message(a, '2'))
        expect(subscribers.sort((x, y) => (x.clientId < y.clientId ? -1 : 1))).toEqual([
          { clientId: alice, caughtUp: true },
          { clientId: bob, caughtUp: false },
        ])
      })

      it('calls a subscriber caught up when all that is older is its own, expired or acknowledged in any order', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().publish([
          message(a, 'own', { publisher: alice }),
          message(a, 'short', { expiresAt: T + 10 }),
          message(a, '1'),
          message(a, '2'),
        ])
        await acknowledge(alice, a, '2')
        const early = await stored(store(), message(a, '3', { publishedAt: T + 10 }))
        expect(early.subscribers).toEqual([{ clientId: alice, caughtUp: false }])
        await acknowledge(alice, a, '1', '3')
        const late = await stored(store(), message(a, '4', { publishedAt: T + 10 }))
        expect(late.subscribers).toEqual([{ clientId: alice, caughtUp: true }])
      })

      it('calls a new subscriber of a topic with live messages not caught up', async () => {
        await stored(store(), message(a, '1'))
        await store().subscribe(alice, [a], { now: T })
        const { subscribers } = await stored(store(), message(a, '2'))
        expect(subscribers).toEqual([{ clientId: alice, caughtUp: false }])
      })
    })

    describe('subscriptions', () => {
      it('counts the topics of a client, each once', async () => {
        expect((await store().subscribe(alice, [a, b, a], { now: T })).total).toBe(2)
        expect((await store().subscribe(alice, [a], { now: T })).total).toBe(2)
        expect((await store().subscribe(bob, [a], { now: T })).total).toBe(1)
        expect((await store().subscribe(alice, [topic('c')], { now: T })).total).toBe(3)
      })

      it('knows who is subscribed now', async () => {
        await store().subscribe(alice, [a], { now: T })
        expect(await store().isSubscribed(alice, a)).toBe(true)
        expect(await store().isSubscribed(alice, b)).toBe(false)
        expect(await store().isSubscribed(bob, a)).toBe(false)
        await store().unsubscribe(alice, [a])
        expect(await store().isSubscribed(alice, a)).toBe(false)
      })

      it('refuses to go over the limit, and then subscribes to nothing', async () => {
        await store().subscribe(alice, [a], { now: T, limit: 2 })
        const tooMany = store().subscribe(alice, [b, topic('c')], { now: T, limit: 2 })
        await expect(tooMany).rejects.toThrow(ProtocolError)
        await expect(tooMany).rejects.toMatchObject({ code: 'rate_limited' })
        expect(await store().topicsOf(alice, { limit: 10 })).toEqual([a])
        expect((await store().subscribe(alice, [a, b], { now: T, limit: 2 })).total).toBe(2)
      })

      it('lets a client at its limit repeat what it has, and others go on', async () => {
        await store().subscribe(alice, [a, b], { now: T, limit: 2 })
        expect((await store().subscribe(alice, [a, b], { now: T, limit: 2 })).total).toBe(2)
        expect((await store().subscribe(bob, [a], { now: T, limit: 2 })).total).toBe(1)
      })

      it('makes room under the limit when a subscription ends', async () => {
        await store().subscribe(alice, [a], { now: T, limit: 1 })
        await store().unsubscribe(alice, [a, a])
        expect((await store().subscribe(alice, [b], { now: T, limit: 1 })).total).toBe(1)
      })

      it('holds the limit when many subscribe at once', async () => {
        const answers = await Promise.allSettled(
          Array.from({ length: 50 }, (_, at) =>
            store().subscribe(alice, [topic(`${at}`)], { now: T, limit: 10 }),
          ),
        )
        expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
        expect(await store().topicsOf(alice, { limit: 100 })).toHaveLength(10)
      })

      it('ignores the end of subscriptions that are not there', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().unsubscribe(alice, [b])
        await store().unsubscribe(bob, [a, b])
        expect((await store().subscribe(alice, [], { now: T })).total).toBe(1)
      })

      it('pages through the topics of a client, in topic order', async () => {
        const many = Array.from({ length: 25 }, (_, at) => topic(`${at}`))
        await store().subscribe(alice, many, { now: T })
        await store().subscribe(bob, [a], { now: T })
        const read: string[] = []
        for (let next: string[] | undefined; next?.length !== 0; ) {
          const after = read.at(-1)
          next = await store().topicsOf(alice, { limit: 10, ...(after !== undefined && { after }) })
          read.push(...next)
        }
        expect(read).toEqual(many.sort())
      })

      it('keeps what a client acknowledged across an unsubscribe', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().publish([message(a, '1'), message(a, '2'), message(a, '3')])
        await acknowledge(alice, a, '1', '3')
        await store().unsubscribe(alice, [a])
        await store().unsubscribe(alice, [a])
        await store().subscribe(alice, [a], { now: T })
        expect(await textsOf(store(), alice, a)).toEqual(['2'])
      })

      it('keeps messages for a client that subscribes later', async () => {
        await stored(store(), message(a, '1'))
        await store().subscribe(alice, [a], { now: T })
        expect(await waitingTopics(store(), alice)).toEqual([a])
        expect(await textsOf(store(), alice, a)).toEqual(['1'])
      })
    })

    describe('what waits', () => {
      it('names the subscribed topics in which something waits, and no acknowledged or foreign ones', async () => {
        await store().subscribe(alice, [a, b, topic('empty')], { now: T })
        await store().publish([message(a, '1'), message(b, '2'), message(topic('other'), '3')])
        await acknowledge(alice, b, '2')
        expect(await waitingTopics(store(), alice)).toEqual([a])
        expect(await waitingTopics(store(), bob)).toEqual([])
        await store().unsubscribe(alice, [a])
        expect(await waitingTopics(store(), alice)).toEqual([])
      })

      it('misses none of thousands of topics, and lets others run between the batches', async () => {
        const many = Array.from({ length: 2500 }, (_, at) => topic(`${at}`))
        await store().subscribe(alice, many, { now: T })
        await store().publish(many.map((of) => message(of, 'x')))
        let turns = 0
        let batches = 0
        let isOver = false
        const tick = () => {
          turns += 1
          if (!isOver) setImmediate(tick)
        }
        setImmediate(tick)
        const found: string[] = []
        for await (const batch of store().waiting(alice, T)) {
          batches += 1
          found.push(...batch)
        }
        isOver = true
        expect(found.sort()).toEqual(many.sort())
        expect(batches).toBeGreaterThan(1)
        expect(turns).toBeGreaterThan(0)
      })

      it('gives the messages of a topic in publish order, behind `after`', async () => {
        const first = await stored(store(), message(a, '1'))
        await store().publish([message(a, '2'), message(a, '3')])
        expect(await textsOf(store(), alice, a)).toEqual(['1', '2', '3'])
        const { messages } = await store().pending(alice, a, { ...page, after: first.seq })
        expect(messages.map(({ message: text }) => text)).toEqual(['2', '3'])
      })

      it('ends a page at its limit, and says whether there is more', async () => {
        await store().publish([message(a, '1'), message(a, '2'), message(a, '3')])
        const short = await store().pending(alice, a, { ...page, limit: 2 })
        expect(short.messages).toHaveLength(2)
        expect(short.hasMore).toBe(true)
        const rest = await store().pending(alice, a, {
          ...page,
          limit: 2,
          after: short.messages[1]?.seq ?? 0,
        })
        expect(rest.messages).toHaveLength(1)
        expect(rest.hasMore).toBe(false)
        const exact = await store().pending(alice, a, { ...page, limit: 3 })
        expect(exact.hasMore).toBe(false)
      })

      it('ends a page at its bytes, but gives at least one message', async () => {
        await store().publish(['1', '2', '3'].map((text) => message(a, text.repeat(1000))))
        const two = await store().pending(alice, a, { ...page, maxBytes: 2500 })
        expect(two.messages).toHaveLength(2)
        expect(two.hasMore).toBe(true)
        const one = await store().pending(alice, a, { ...page, maxBytes: 10 })
        expect(one.messages).toHaveLength(1)
        expect(one.hasMore).toBe(true)
      })

      it('says there is no more when all that follows is acknowledged, own or expired', async () => {
        await store().publish([
          message(a, '1'),
          message(a, '2'),
          message(a, 'own', { publisher: alice }),
          message(a, 'short', { expiresAt: T + 1 }),
        ])
        await acknowledge(alice, a, '2')
        const { messages, hasMore } = await store().pending(alice, a, { ...page, limit: 1, now: T + 1 })
        expect(messages).toHaveLength(1)
        expect(hasMore).toBe(false)
      })

      it('never gives a client its own messages', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().publish([message(a, '1', { publisher: alice }), message(a, '2')])
        expect(await textsOf(store(), alice, a)).toEqual(['2'])
        expect(await textsOf(store(), bob, a)).toEqual(['1', '2'])
      })

      it('gives nothing from the instant of its expiry on, without a sweep', async () => {
        await store().publish([message(a, 'short', { expiresAt: T + 10 }), message(a, 'long')])
        expect(await textsOf(store(), alice, a, { now: T + 9 })).toEqual(['short', 'long'])
        expect(await textsOf(store(), alice, a, { now: T + 10 })).toEqual(['long'])
      })

      it('names what waits without its texts, and gives those that are asked for', async () => {
        const by = (text: string, payer: string, publisher: string) =>
          message(a, text, { payer, publisher: client(publisher) })
        await store().publish([
          by('1', 'x', 'p'),
          by('22', 'y', 'q'),
          by('333', 'x', 'q'),
          by('4444', 'z', 'p'),
        ])
        await store().publish([
          message(a, 'own', { publisher: alice }),
          message(a, 'short', { expiresAt: T + 1 }),
          ...Array.from({ length: 1_200 }, (_, at) => by(`many ${at}`, 'x', 'p')),
        ])
        await acknowledge(alice, a, '22')
        const now = T + 1
        const short = await store().heads(alice, a, { after: 0, limit: 3, now })
        expect(short.heads.map(({ payer, size }) => [payer, size])).toEqual([
          ['x', 1],
          ['x', 3],
          ['z', 4],
        ])
        expect(short.hasMore).toBe(true)
        const [one, three, four] = short.heads
        expect(one?.publisher).toBe(four?.publisher)
        expect(one?.publisher).not.toBe(three?.publisher)
        const after = four?.seq ?? 0
        const rest = await store().heads(alice, a, { after, limit: 1_200, now })
        expect(rest.heads).toHaveLength(1_200)
        expect(rest.hasMore).toBe(false)

        const seqs = [rest.heads[1_000]?.seq ?? 0, three?.seq ?? 0, one?.seq ?? 0, after + 1, after + 1e6]
        const wordsOf = async () =>
          (await store().pick(alice, a, seqs, now)).map(({ message: words }) => words)
        expect(await wordsOf()).toEqual(['many 1000', '333', '1'])
        await acknowledge(alice, a, '1')
        expect(await wordsOf()).toEqual(['many 1000', '333'])
        expect(await store().pick(bob, b, seqs, now)).toEqual([])
        expect(await store().heads(bob, b, { after: 0, limit: 1, now })).toEqual({
          heads: [],
          hasMore: false,
        })
      })

      it('works for a topic without messages or subscription', async () => {
        expect(await store().pending(alice, a, page)).toEqual({ messages: [], hasMore: false })
      })
    })

    describe('acknowledging', () => {
      it('takes a message from this client, and from nobody else', async () => {
        for (const one of [alice, bob]) await store().subscribe(one, [a], { now: T })
        await store().publish([message(a, '1'), message(a, '2')])
        await acknowledge(alice, a, '1')
        expect(await textsOf(store(), alice, a)).toEqual(['2'])
        expect(await textsOf(store(), bob, a)).toEqual(['1', '2'])
        expect(await textsOf(store(), carol, a)).toEqual(['1', '2'])
      })

      it('takes any order, repetitions, and several topics at once', async () => {
        await store().publish([message(a, '1'), message(a, '2'), message(a, '3'), message(b, '1')])
        const receipts = [
          { topic: a, id: hex('3') },
          { topic: b, id: hex('1') },
          { topic: a, id: hex('1') },
          { topic: a, id: hex('3') },
        ]
        await store().acknowledge(alice, receipts)
        expect(await textsOf(store(), alice, a)).toEqual(['2'])
        expect(await textsOf(store(), alice, b)).toEqual([])
      })

      it('ignores ids that it does not know', async () => {
        await stored(store(), message(a, '1'))
        await acknowledge(alice, a, 'never published')
        await acknowledge(alice, b, '1')
        expect(await textsOf(store(), alice, a)).toEqual(['1'])
      })

      it('works for a client that is not subscribed', async () => {
        await stored(store(), message(a, '1'))
        await acknowledge(alice, a, '1')
        expect(await textsOf(store(), alice, a)).toEqual([])
        await store().subscribe(alice, [a], { now: T })
        expect(await waitingTopics(store(), alice)).toEqual([])
      })

      it('loses none of many that come at once', async () => {
        const texts = Array.from({ length: 100 }, (_, at) => `${at}`)
        await store().publish(texts.map((text) => message(a, text)))
        await Promise.all(texts.slice(1).map((text) => acknowledge(alice, a, text)))
        expect(await textsOf(store(), alice, a)).toEqual(['0'])
      })
    })

    describe('claims of shared subscriptions', () => {
      const lease = { holder: 'one', now: T, until: T + 100 }

      it('belong to exactly one of many holders that ask at once', async () => {
        const { seq } = await stored(store(), message(a, '1'))
        const answers = await Promise.all(
          Array.from({ length: 100 }, (_, at) =>
            store().claim(alice, a, seq, { ...lease, holder: `holder ${at}` }),
          ),
        )
        expect(answers.filter(Boolean)).toHaveLength(1)
      })

      it('are separate for every client, topic and message', async () => {
        const [first, second] = [
          await stored(store(), message(a, '1')),
          await stored(store(), message(a, '2')),
        ]
        const elsewhere = await stored(store(), message(b, '1'))
        expect(await store().claim(alice, a, first.seq, lease)).toBe(true)
        const other = { ...lease, holder: 'two' }
        expect(await store().claim(bob, a, first.seq, other)).toBe(true)
        expect(await store().claim(alice, a, second.seq, other)).toBe(true)
        expect(await store().claim(alice, b, elsewhere.seq, other)).toBe(true)
      })

      it('may be renewed by their holder, and end by themselves', async () => {
        const { seq } = await stored(store(), message(a, '1'))
        const other = { holder: 'two', now: T + 150, until: T + 300 }
        await store().claim(alice, a, seq, lease)
        expect(await store().claim(alice, a, seq, { ...lease, now: T + 50, until: T + 200 })).toBe(true)
        expect(await store().claim(alice, a, seq, other)).toBe(false)
        expect(await store().claim(alice, a, seq, { ...other, now: T + 200 })).toBe(true)
        expect(await store().claim(alice, a, seq, { ...lease, now: T + 201, until: T + 400 })).toBe(false)
      })

      it('are free again when their holder releases them, and only those', async () => {
        const [first, second] = [
          await stored(store(), message(a, '1')),
          await stored(store(), message(a, '2')),
        ]
        await store().claim(alice, a, first.seq, lease)
        await store().claim(alice, a, second.seq, { ...lease, holder: 'two' })
        await store().release('one')
        await store().release('nobody')
        expect(await store().claim(alice, a, first.seq, { ...lease, holder: 'three' })).toBe(true)
        expect(await store().claim(alice, a, second.seq, { ...lease, holder: 'three' })).toBe(false)
      })

      it('are refused for what the client has acknowledged', async () => {
        const { seq } = await stored(store(), message(a, '1'))
        await store().claim(alice, a, seq, lease)
        await acknowledge(alice, a, '1')
        const late = { holder: 'two', now: T + 500, until: T + 600 }
        expect(await store().claim(alice, a, seq, late)).toBe(false)
        expect(await store().claim(bob, a, seq, late)).toBe(true)
      })
    })

    describe('sweeping', () => {
      it('removes what expired, at most as much as asked for, and says how much', async () => {
        const texts = Array.from({ length: 10 }, (_, at) => `${at}`)
        await store().publish(texts.map((text, at) => message(a, text, { expiresAt: T + at })))
        expect(await store().sweep(T + 7, 5)).toBe(5)
        expect(await store().sweep(T + 7, 5)).toBeGreaterThanOrEqual(2)
        expect(await store().sweep(T + 7, 5)).toBe(0)
        expect(await textsOf(store(), alice, a, { now: T })).toEqual(['8', '9'])
      })

      it('leaves subscriptions, and what was acknowledged of the messages that stay', async () => {
        await store().subscribe(alice, [a], { now: T })
        await store().publish([message(a, 'short', { expiresAt: T + 1 }), message(a, '1'), message(a, '2')])
        await acknowledge(alice, a, '2')
        await store().sweep(T + 1, 100)
        expect(await store().isSubscribed(alice, a)).toBe(true)
        expect(await textsOf(store(), alice, a)).toEqual(['1'])
      })

      it('never leads to a number that was used before', async () => {
        await store().subscribe(alice, [a], { now: T })
        const before = await stored(store(), message(a, '1'))
        await acknowledge(alice, a, '1')
        await store().sweep(T + MINUTE, 100)
        const later = { publishedAt: T + MINUTE, expiresAt: T + 2 * MINUTE }
        const after = await stored(store(), message(a, '2', later))
        expect(after.seq).toBeGreaterThan(before.seq)
        expect(after.subscribers).toEqual([{ clientId: alice, caughtUp: true }])
        expect(await waitingTopics(store(), alice, T + MINUTE)).toEqual([a])
        expect(await textsOf(store(), alice, a, { now: T + MINUTE })).toEqual(['2'])
      })

      it('never leads to a used number for a topic that nobody was left in either', async () => {
        const before = await stored(store(), message(a, '1'))
        await store().sweep(T + MINUTE, 100)
        await stores.reopen()
        const after = await stored(store(), message(a, '2', { publishedAt: T + MINUTE }))
        expect(after.seq).toBeGreaterThan(before.seq)
      })
    })

    describe('a restart', () => {
      it('loses no message, subscription or acknowledgement', async () => {
        await store().subscribe(alice, [a, b], { now: T })
        await store().unsubscribe(alice, [b])
        await store().publish([message(a, '1'), message(a, '2'), message(a, '3')])
        await acknowledge(alice, a, '1', '3')
        await stores.reopen()
        expect(await store().topicsOf(alice, { limit: 10 })).toEqual([a])
        expect(await textsOf(store(), alice, a)).toEqual(['2'])
        expect(await textsOf(store(), bob, a)).toEqual(['1', '2', '3'])
        expect(await store().publish([message(a, '2')])).toEqual([{ outcome: 'duplicate', waiting: [alice] }])
        const { subscribers } = await stored(store(), message(a, '4'))
        expect(subscribers).toEqual([{ clientId: alice, caughtUp: false }])
      })

      it('finds every message whose publish was answered', async () => {
        const texts = Array.from({ length: 200 }, (_, at) => `${at}`)
        await Promise.all(texts.map((text) => stored(store(), message(a, text))))
        await stores.reopen()
        expect((await textsOf(store(), alice, a)).sort()).toEqual(texts.sort())
      })
    })

    it('answers a ping', async () => {
      await expect(store().ping()).resolves.toBeUndefined()
    })

    it('takes a listener for wakes and lets it go', () => {
      store()
        .onWake(() => {})
        [Symbol.dispose]()
    })
  })
}
