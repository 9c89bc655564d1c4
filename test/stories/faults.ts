/**
 * What the fault stories have in common: a fleet under traffic that is counted at both ends.
 *
 * Everybody behaves as real ones do: a dapp repeats a call until it is answered, at the other server if need be; a
 * wallet repeats a request that was refused for now; a publisher repeats a message. What was answered is remembered, and
 * at the end it has arrived, once. Next to the wallets, which sort out repeats, an observer sees what the relay carried.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { Wallet } from '../../src/notify/client/index.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { openEnvelope, parseEnvelope } from '../../src/protocol/envelope.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { parseRpc } from '../../src/protocol/jsonrpc.ts'
import { decodeJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { eventually } from '../support/eventually.ts'
import type { Fleet } from '../support/fleet.ts'
import { newOwner } from '../support/owner.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice, postNotification, relayAs } from '../support/story.ts'

const DOMAIN = 'faults.example.com'
export const WALLETS = crowd(100, 20)
/** Notifications to all of them in a wave: enough to be in the middle of it with `UNDER_WAY`, and for those who then go on. */
export const CALLS = 50
/** Of them, those that also go on changing their scope. */
const CHANGING = 8
/** Between two changes of a wallet: some requests are always under way, and the machine has time for what is tested. */
const CHANGE_PAUSE_MS = 200
/** Between two messages on a topic: the same. */
const PUBLISH_PAUSE_MS = 60
/** Topics of the relay that strangers publish on: half of the readers are away, half are there. */
const TOPICS = 10
/** That must arrive on each topic, at least, however busy the machine is: an order of fewer says little. */
const LEAST_MESSAGES = 11
/** Calls of the dapp that wait for their answers at the same time. */
export const DAPP_CALLS = 6
/** Deliveries that are accepted and not yet in a wallet's application, at least, when a fault strikes. */
const UNDER_WAY = 20 * WALLETS

export interface Traffic extends AsyncDisposable {
  /** Has `calls` notifications for every wallet sent; resolves when all calls are answered. */
  post(calls: number): Promise<void>
  /**
   * Starts a wave of `calls` and lets the fault strike in the middle of it; resolves when both are over. During the fault
   * the applications of three wallets of four are busy, so that messages are in the outbox, in mailboxes, and pushed but
   * not acknowledged.
   */
  strike(calls: number, fault: () => Promise<void>): Promise<void>
  /** Resolves when every notification that was accepted so far has arrived at every wallet, once. */
  arrived(): Promise<void>
  /** Ends the traffic, waits until all that was answered has arrived, and checks that it arrived once, as it should. */
  settle(): Promise<void>
  /** That strangers publish on. */
  readonly topics: readonly string[]
  /** What was signed twice: of a notification different messages, of a request different answers. */
  repeated(): string[]
  /** Deliveries and messages that were answered and have not arrived: of those that `mayBeLost`. */
  lost(): number
  /** Refusals that were not an ordinary "not now". There must be none. */
  readonly refusals: readonly unknown[]
  /** Notifications and messages that were answered, in the order of their answers. */
  readonly posted: readonly Answered[]
  readonly published: readonly Answered[]
  /** How often somebody was told "not now", and how often the dapp had no answer. */
  readonly told: Readonly<Record<'dapp' | 'wallet' | 'publisher' | 'nothing', number>>
}

export interface Answered {
  text: string
  /** When the attempt began that was answered, unix ms. */
  since: number
  /** When the answer came, unix ms. */
  at: number
}

type MayBeLost = (answered: Answered, what: 'notification' | 'message') => boolean

interface Person {
  account: string
  wallet: Wallet
  /** What the application was handed, in its order. */
  bodies: string[]
}

/** May be tried again; anything else is a wrong answer. */
const isForNow = (error: unknown): boolean =>
  error instanceof ProtocolError && ['unavailable', 'internal', 'rate_limited'].includes(error.code)

const textsOf = (answered: readonly Answered[]): string[] => answered.map(({ text }) => text)
const sorted = (texts: readonly string[]): string[] => [...texts].sort()

/** `mayBeLost` says which of what was answered need not arrive (it may, but not twice); by default all must. */
export const startTraffic = async (
  fleet: Fleet,
  {
    requestTimeout = 30_000,
    dappPatience = 5_000,
    mayBeLost = () => false,
  }: {
    requestTimeout?: number
    /** When the dapp takes a server that does not answer for dead, ms. */
    dappPatience?: number
    mayBeLost?: MayBeLost
  } = {},
): Promise<Traffic> => {
  const [registry] = fleet.notifies
  if (!registry) throw new Error('a fleet has a notify server')
  const relayUrl = (at: number) => fleet.relays[at % fleet.relays.length]?.wsUrl ?? ''
  const app = await enrol(registry.dataDir, DOMAIN)
  const [news = '', alerts = ''] = app.types.map(({ id }) => id)
  const people: Person[] = []
  /** What the applications of most wallets wait for. */
  let busy: Promise<void> | undefined
  const join = async (at: number) => {
    const owner = newOwner()
    const server = { url: registry.url, wsUrl: relayUrl(at) }
    const wallet = newDevice(server, owner, { receipts: at % 5 === 0, requestTimeout })
    const bodies: string[] = []
    wallet.on('message', async ({ notification }) => {
      if (at % 4 !== 0) await busy
      bodies.push(notification.body)
    })
    await wallet.subscribe(DOMAIN, [news])
    people.push({ account: owner.account, wallet, bodies })
  }
  for (let at = 0; at < WALLETS; at += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, more) => join(at + more)))
  }
  const accounts = people.map(({ account }) => account)
  const observer = await observe(relayUrl(0), people)
  const strangers = await startStrangers(relayUrl)

  const stop = new AbortController()
  const posted: Answered[] = []
  const refusals: unknown[] = []
  const told = { dapp: 0, wallet: 0, publisher: 0, nothing: 0 }
  let rounds = 0

  /** One call, repeated until it is answered. */
  const call = async (at: number): Promise<void> => {
    const notification = { id: `n-${at}`, body: `notification ${at}`, accounts }
    for (let attempt = at; ; attempt++) {
      const server = fleet.notifies[attempt % fleet.notifies.length] ?? registry
      const since = Date.now()
      try {
        const outcome = await postNotification(server, app, notification, AbortSignal.timeout(dappPatience))
        expect(outcome).toEqual({ sent: accounts, failed: [], not_found: [] })
        posted.push({ text: notification.body, since, at: Date.now() })
        return
      } catch (error) {
        const [, status] = /^(\d{3}) /.exec(error instanceof Error ? error.message : '') ?? []
        if (status === undefined) told.nothing++
        else told.dapp++
        if (error instanceof Error && error.name === 'AssertionError') throw error
        if (status !== undefined && !['500', '503'].includes(status)) refusals.push(error)
        await sleep(50)
      }
    }
  }
  const post = async (calls: number): Promise<void> => {
    const first = rounds
    rounds += calls
    let next = first
    await Promise.all(
      Array.from({ length: DAPP_CALLS }, async () => {
        while (next < first + calls) await call(next++)
      }),
    )
  }
  const arrivals = (): number => people.reduce((sum, { bodies }) => sum + bodies.length, 0)
  const underWay = (): number => posted.length * WALLETS - arrivals()

  const changing = people.slice(0, CHANGING).map(({ wallet }) => {
    const scopes: string[][] = []
    const running = (async () => {
      for (let round = 0; !stop.signal.aborted; round++) {
        const scope = round % 2 === 0 ? [news, alerts] : [news]
        for (;;) {
          try {
            scopes.push((await wallet.update(DOMAIN, scope)).scope)
            break
          } catch (error) {
            told.wallet++
            if (!isForNow(error)) refusals.push(error)
            await sleep(100)
          }
        }
        await sleep(CHANGE_PAUSE_MS)
      }
    })()
    return { wallet, scopes, running }
  })

  const arrived = async () => {
    const optional = new Set(textsOf(posted.filter((one) => mayBeLost(one, 'notification'))))
    const wanted = sorted(textsOf(posted).filter((text) => !optional.has(text)))
    await eventually(() => {
      expect(arrivals()).toBeGreaterThanOrEqual(wanted.length * WALLETS)
      for (const { bodies } of people) {
        expect(sorted(bodies.filter((body) => !optional.has(body)))).toEqual(wanted)
        expect(new Set(bodies).size).toBe(bodies.length)
      }
    }, 90_000)
  }

  const settle = async (): Promise<void> => {
    // A wallet may have waited for its first answer through a whole fault.
    await eventually(() => {
      for (const { scopes } of changing) expect(scopes.length).toBeGreaterThan(1)
    }, requestTimeout + 30_000)
    stop.abort()
    await Promise.all([...changing.map(({ running }) => running), strangers.stop(mayBeLost)])
    told.publisher = strangers.told.count
    // The last ones come after all others: what would arrive twice has done so by then.
    await arrived()
    await post(2)
    await arrived()
    await eventually(() => expect(observer.count()).toBeGreaterThan(arrivals()))
    await strangers.check(mayBeLost)
    for (const { wallet, scopes } of changing) {
      // What the server has, not what the wallet remembers.
      const [view] = await wallet.watch()
      expect(sorted(view?.scope ?? [])).toEqual(sorted(scopes.at(-1) ?? []))
    }
    expect(refusals).toEqual([])
  }

  return {
    post,
    refusals,
    posted,
    published: strangers.published,
    told,
    async strike(calls, fault) {
      let free = () => {}
      busy = new Promise((resolve) => (free = resolve))
      const wave = post(calls)
      await eventually(() => expect(underWay()).toBeGreaterThan(UNDER_WAY), 120_000)
      const struck = underWay()
      await fault()
      busy = undefined
      free()
      await wave
      console.log(`struck with ${struck} deliveries under way; ${posted.length * WALLETS} accepted so far`)
    },
    arrived,
    settle,
    topics: strangers.topics,
    repeated: observer.repeated,
    lost: () => underWay() + strangers.missing(),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all([
        strangers[Symbol.asyncDispose](),
        observer[Symbol.asyncDispose](),
        ...people.map(({ wallet }) => wallet[Symbol.asyncDispose]()),
      ])
    },
  }
}

/**
 * Reads all notify topics along. Of each notification it keeps the different relay messages that carried it: more than
 * one means that it was sent twice. An answer to a change lists what the account has by then, so one that is sent again
 * may say something newer; but it is dated by when the request was carried out, and that happens once.
 */
const observe = async (url: string, people: readonly Person[]) => {
  const seen = new Map<string, Set<string>>()
  const keys = new Map<string, Uint8Array>()
  for (const { wallet } of people) {
    for (const { symKey } of wallet.export().subscriptions) {
      const key = fromHex(symKey)
      keys.set(topicOf(key), key)
    }
  }
  const note = (name: string, what: string) => void seen.set(name, (seen.get(name) ?? new Set()).add(what))
  const relay = relayAs(url, generateSigningKey(), ({ topic, tag, message }) => {
    const key = keys.get(topic)
    if (!key) return
    const rpc = parseRpc(openEnvelope(parseEnvelope(message), key))
    if (tag === 4002 && rpc.kind === 'request') {
      const { msg } = decodeJwt(String(Object(rpc.params).messageAuth)).claims
      note(`${topic} notification ${Object(msg).id}`, message)
    } else if (tag === 4009 && rpc.kind === 'result') {
      const { iat } = decodeJwt(String(Object(rpc.result).responseAuth)).claims
      note(`${topic} answer ${rpc.idText}`, String(iat))
    }
  })
  await relay.subscribe([...keys.keys()])
  return {
    repeated: () => [...seen].filter(([, different]) => different.size > 1).map(([name]) => name),
    count: () => seen.size,
    [Symbol.asyncDispose]: () => relay[Symbol.asyncDispose](),
  }
}

/** Who uses the relay without a notify server: two publishers, readers who are there, and one who is away all the time. */
const startStrangers = async (relayUrl: (at: number) => string) => {
  const topics = Array.from({ length: TOPICS }, () => topicOf(generateSigningKey().publicKey))
  const awayTopics = topics.filter((_, at) => at % 2 === 0)
  const thereTopics = topics.filter((_, at) => at % 2 === 1)
  const heard = new Map<string, string[]>(topics.map((topic) => [topic, []]))
  const hear = ({ topic, message }: { topic: string; message: string }) =>
    void heard.get(topic)?.push(message)
  const awayKey = generateSigningKey()
  {
    await using away = relayAs(relayUrl(0), awayKey)
    await away.subscribe(awayTopics)
  }
  const readers = [0, 1].map((at) => relayAs(relayUrl(at), generateSigningKey(), hear))
  for (const [at, reader] of readers.entries()) {
    await reader.subscribe(thereTopics.filter((_, which) => which % 2 === at))
  }
  // Each topic is published on at the other relay than its reader's.
  const publishers = [1, 0].map((at) => relayAs(relayUrl(at)))

  const stop = new AbortController()
  const published: Answered[] = []
  const byTopic = new Map<string, Answered[]>(topics.map((topic) => [topic, []]))
  const told = { count: 0 }
  const running = topics.map(async (topic, which) => {
    const publisher = publishers[(which >> 1) % 2]
    for (let round = 0; !stop.signal.aborted; round++) {
      const message = Buffer.from(`${round} on ${topic}`).toString('base64')
      let since = Date.now()
      for (;;) {
        try {
          await publisher?.publish({ topic, message, tag: 7, ttl: 3_600 })
          break
        } catch (error) {
          if (!isForNow(error)) throw error
          told.count++
          await sleep(50)
          since = Date.now()
        }
      }
      const answered = { text: message, since, at: Date.now() }
      published.push(answered)
      byTopic.get(topic)?.push(answered)
      await sleep(PUBLISH_PAUSE_MS)
    }
  })

  return {
    topics,
    published,
    told,
    async stop(mayBeLost: MayBeLost) {
      await eventually(() => {
        for (const answered of byTopic.values()) {
          const wanted = answered.filter((one) => !mayBeLost(one, 'message'))
          expect(wanted.length).toBeGreaterThanOrEqual(LEAST_MESSAGES)
        }
      }, 30_000)
      stop.abort()
      await Promise.all(running)
    },
    missing: () =>
      [...byTopic].reduce(
        (sum, [topic, answered]) => sum + answered.length - (heard.get(topic)?.length ?? 0),
        0,
      ),
    async check(mayBeLost: MayBeLost) {
      await using away = relayAs(relayUrl(1), awayKey, hear)
      await away.ready()
      for (const [topic, answered] of byTopic) {
        const optional = new Set(textsOf(answered.filter((one) => mayBeLost(one, 'message'))))
        const wanted = textsOf(answered).filter((text) => !optional.has(text))
        expect(wanted.length).toBeGreaterThanOrEqual(LEAST_MESSAGES)
        // In order for those who were away; what comes again to the others comes after what followed it.
        const order = awayTopics.includes(topic) ? (texts: readonly string[]) => texts : sorted
        await eventually(() => {
          const texts = (heard.get(topic) ?? []).filter((text) => !optional.has(text))
          expect(order(texts)).toEqual(order(wanted))
          expect(new Set(heard.get(topic)).size).toBe(heard.get(topic)?.length)
        }, 30_000)
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort()
      await Promise.all([...readers, ...publishers].map((client) => client[Symbol.asyncDispose]()))
    },
  }
}
