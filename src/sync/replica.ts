/**
 * A replica of the stores that all devices of an account share, over a relay that sees nothing of them. Node and browsers.
 *
 * What it guarantees:
 * - `set` and `delete` resolve when this device will not forget them: the new state and the message that tells the others
 *   are one write of the storage. The message goes out in the background, in the order of the calls, also after a
 *   restart, until the relay has it.
 * - Replicas that heard the same words hold the same, whatever order they came in (`state`). A word of this device is
 *   later than everything that this device has heard, however wrong its clock is.
 * - What comes from the relay is acknowledged when it will not be forgotten either.
 * - With an archive, a replica that joins late, or was away for longer than the relay keeps messages, reads everything
 *   there. It also keeps the archive short: where far more messages than words are there, it writes all words anew, and
 *   lets what is before them be dropped, as far as devices with this library wrote it. Their ids stay, so nobody else
 *   notices.
 *
 * The storage holds the signature, from which every key follows: it is as secret as a private key.
 *
 * | name in the storage | value |
 * |---|---|
 * | `reg/<account>` | its signature |
 * | `store/<topic>` | account, name, how far the archive is read, messages that may be there |
 * | `rec/<topic>/<key>` | `[id, value or null]` |
 * | `out/<number>` | a message that the relay does not have yet |
 */
import * as z from 'zod'
import { type Clock, pause } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { payloadId } from '../protocol/jsonrpc.ts'
import { messageIdOf } from '../protocol/topic.ts'
import { type StoreKey, syncMessage } from './keys.ts'
import { createOutbox, OUTBOX, type Publish } from './outbox.ts'
import { StoreState, type Word } from './state.ts'
import { createJournal, type KeyValues } from './storage.ts'
import { opened, SYNC_TAGS, sealed } from './wire.ts'

/** What a replica asks of a relay; `relay/client` has it. */
export interface Transport {
  /** Resolves when the relay has the message; until then it may be tried for as long as it likes. */
  publish(publish: Publish): Promise<void>
  subscribe(topics: readonly string[]): Promise<void>
}

/** What it asks of an archive; `archive/client` has it. */
export interface History {
  /** The topics are those that may be compacted; there may be `MAX_COMPACTED_STORES`. */
  register(tags: readonly number[], topics: readonly StoreKey[]): Promise<void>
  /** Oldest first, from `origin` on, itself included; undefined when that is not there. */
  messages(
    topic: string,
    origin?: string,
  ): Promise<{ messages: { message: string; id: string }[]; next: string | undefined } | undefined>
  /** Drops what devices with this key have published before that message. */
  compact(topic: StoreKey, before: string): Promise<void>
}

export interface ReplicaDeps {
  storage: KeyValues
  transport: Transport
  /** Keys of the stores of whoever signed so: `storeKeys`. */
  keysOf: (signature: string) => (store: string) => StoreKey
  /** Without it a replica knows what comes while it is there, and what the relay still has. */
  history?: History
  clock: Clock
  log: Log
  randomBytes: (length: number) => Uint8Array
}

/** `value` is absent where the key was deleted. */
export interface SyncUpdate {
  /** Name of the store. */
  store: string
  topic: string
  account: string
  update: { id: number; key: string; value?: string }
}

type Listener = (update: SyncUpdate) => void

interface Where {
  /** CAIP-10, as it was registered. */
  account: string
  store: string
}

export interface Replica extends Disposable {
  /** What the account must sign, once. */
  getMessage(of: { account: string }): Promise<string>
  register(of: { account: string; signature: string }): Promise<void>
  isRegistered(of: { account: string }): Promise<boolean>
  /** Begins to follow the store; an earlier content is there at once. Throws `not_found` for an account that is not registered. */
  create(where: Where): Promise<void>
  /** False when that is the value already. */
  set(change: Where & { key: string; value: string }): Promise<boolean>
  /** False when there is no value. */
  delete(change: Where & { key: string }): Promise<boolean>
  /** By topic, as published clients have it. */
  getStores(of: { account: string }): Promise<Record<string, Record<string, string>>>
  value(at: Where & { key: string }): string | undefined
  entries(where: Where): [key: string, value: string][]
  on(event: 'sync_update', listener: Listener): void
  once(event: 'sync_update', listener: Listener): void
  off(event: 'sync_update', listener: Listener): void
  /** A message of the relay; resolves when it may be acknowledged. */
  received(message: { topic: string; message: string }): Promise<void>
  /** There is a connection (again): reads what the archive has by now. */
  connected(): void
  /** Resolves when the archive was read to its end, as it was at some time after the call. At once without one. */
  caughtUp(): Promise<void>
  /** Resolves when the relay has everything that was said here. */
  published(): Promise<void>
  /** All words, deletions too, as text: equal for replicas that hold the same. */
  export(where: Where): string
}

const Kept = z.object({
  account: z.string(),
  name: z.string(),
  /** Id of the last message that was read in the archive. */
  cursor: z.string().optional(),
  /** Messages that may be in the archive, about. */
  messages: z.number(),
})
const KeptWord = z.tuple([z.number(), z.string().nullable()])

interface Store extends StoreKey {
  kept: z.infer<typeof Kept>
  state: StoreState
}

const REGISTRATION = 'reg/'
const STORE = 'store/'
const WORD = 'rec/'
const RETRY = 5_000
/** The archive is made shorter where it has more messages than this, and this many times as many as there are words. */
const COMPACT_ABOVE = 2_000
const COMPACT_FACTOR = 4
/** Stores of one device of which the archive is kept short; an archive remembers no more topics of a client. */
const MAX_COMPACTED_STORES = 32

const namesOf = (begin: string, values: Iterable<readonly [string, string]>): [string, string][] =>
  [...values].flatMap(([name, value]): [string, string][] =>
    name.startsWith(begin) ? [[name.slice(begin.length), value]] : [],
  )

export const createReplica = async (
  deps: ReplicaDeps,
  { compactAbove = COMPACT_ABOVE }: { compactAbove?: number } = {},
): Promise<Replica> => {
  const { storage, transport, keysOf, history, clock, log, randomBytes } = deps
  const journal = createJournal(storage)
  const ending = new AbortController()
  const listeners = new Set<Listener>()
  const signatures = new Map<string, (name: string) => StoreKey>()
  const byTopic = new Map<string, Store>()
  const byName = new Map<string, Store>()
  const nameOf = ({ account, store }: Where) => `${account}\0${store}`

  const enter = (store: Store) => {
    byTopic.set(store.topic, store)
    byName.set(nameOf({ account: store.kept.account, store: store.kept.name }), store)
  }
  const storeAt = (where: Where): Store => {
    const store = byName.get(nameOf(where))
    if (!store) throw new ProtocolError('not_found', `the store ${where.store} was not created`)
    return store
  }

  const values = [...(await storage.load())]
  for (const [account, signature] of namesOf(REGISTRATION, values)) signatures.set(account, keysOf(signature))
  for (const [topic, text] of namesOf(STORE, values)) {
    const kept = Kept.parse(JSON.parse(text))
    const key = signatures.get(kept.account)?.(kept.name)
    if (key?.topic === topic) enter({ ...key, kept, state: new StoreState() })
  }
  for (const [name, text] of namesOf(WORD, values)) {
    const [id, value] = KeptWord.parse(JSON.parse(text))
    byTopic.get(name.slice(0, 64))?.state.apply(name.slice(65), { id, value })
  }

  const outbox = createOutbox(
    { publish: (publish) => transport.publish(publish), journal, clock, log },
    namesOf(OUTBOX, values).map(([name, value]) => [OUTBOX + name, value] as const),
  )

  // ── words ───────────────────────────────────────────────────────────────────────────────────────────────────────────

  const noteStore = ({ topic, kept }: Store) => journal.note(STORE + topic, JSON.stringify(kept))
  /** Takes the word over, for the next write. False when it is not news. */
  const take = (store: Store, key: string, word: Word): boolean => {
    if (!store.state.apply(key, word)) return false
    journal.note(`${WORD}${store.topic}/${key}`, JSON.stringify([word.id, word.value]))
    return true
  }
  const tell = ({ topic, kept: { account, name } }: Store, key: string, { id, value }: Word) => {
    const update = { id, key, ...(value !== null && { value }) }
    for (const listener of [...listeners]) listener({ store: name, topic, account, update })
  }

  const say = async (store: Store, key: string, value: string | null): Promise<void> => {
    const { state } = store
    const word = { id: Math.max(payloadId(clock.now(), randomBytes), state.highest + 1), value }
    const letter = { topic: store.topic, ...sealed(store.key, key, word, randomBytes) }
    take(store, key, word)
    store.kept.messages++
    const send = outbox.note(letter)
    await journal.saved().finally(send)
    tell(store, key, word)
  }

  // ── the archive ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Reads on to the end. Answers how many messages were there. Rejects when it was stopped before. */
  const readOn = async (store: Store, from?: string): Promise<number> => {
    let count = 0
    let origin = from
    while (history) {
      // Half of it must not look like all of it.
      if (ending.signal.aborted) throw new ProtocolError('unavailable', 'the replica was closed')
      const page = await history.messages(store.topic, origin)
      if (!page && origin === undefined) break
      if (!page) {
        // It was dropped, or is too old: what stands in for it comes after.
        origin = undefined
        count = 0
        continue
      }
      const news: [string, Word][] = []
      for (const { message } of page.messages) {
        const said = opened(message, store.key)
        if (said && take(store, said.key, said.word)) news.push([said.key, said.word])
      }
      count += page.messages.length
      store.kept.cursor = page.messages.at(-1)?.id ?? store.kept.cursor
      noteStore(store)
      await journal.saved()
      for (const [key, word] of news) tell(store, key, word)
      if (page.next === undefined) break
      origin = page.next
    }
    return count
  }

  /** Those that were created first; what is in the others stays in the archive until it is too old. */
  const compacted = (): Store[] => [...byTopic.values()].slice(0, MAX_COMPACTED_STORES)

  const publishNow = async (store: Store, key: string, word: Word): Promise<string> => {
    const { message, tag } = sealed(store.key, key, word, randomBytes)
    // Long enough to get there; whoever is away has the first one in their mailbox.
    await transport.publish({ topic: store.topic, message, tag, ttl: COMPACTED_TTL })
    return messageIdOf(message)
  }

  /**
   * Writes all words anew and has what is before them dropped. The first of them marks the place: what is before it is
   * read once more, so that no word of another device is lost that came meanwhile.
   */
  const compact = async (store: Store): Promise<void> => {
    if (!history || !compacted().includes(store)) return
    store.kept.messages = await readOn(store)
    const isLong = () => store.kept.messages > Math.max(compactAbove, COMPACT_FACTOR * store.state.words.size)
    const [first] = store.state.words
    if (!isLong() || !first) return
    const mark = await publishNow(store, ...first)
    await readOn(store, store.kept.cursor)
    // By the word, not by its id: of two words with one id another one may have won meanwhile.
    const rest = [...store.state.words].filter(([, word]) => word !== first[1])
    await Promise.all(rest.map(([key, word]) => publishNow(store, key, word)))
    await history.compact(store, mark).catch((error: unknown) => {
      // Another device was faster, and wrote everything anew behind our mark.
      if (!(error instanceof ProtocolError && error.code === 'not_found')) throw error
    })
    store.kept.messages = store.state.words.size
    noteStore(store)
    log.info({ words: store.kept.messages }, 'A store was written anew, and what was before it dropped')
  }

  let isWanted = false
  let isReading = false
  const waiting: (() => void)[] = []

  const catchUp = async (): Promise<void> => {
    isReading = true
    while (isWanted && history && !ending.signal.aborted) {
      isWanted = false
      const callers = waiting.splice(0)
      try {
        if (byTopic.size > 0) await history.register([SYNC_TAGS.set, SYNC_TAGS.delete], compacted())
        outbox.start()
        for (const store of [...byTopic.values()]) {
          store.kept.messages += await readOn(store, store.kept.cursor)
          const most = Math.max(compactAbove, COMPACT_FACTOR * store.state.words.size)
          if (store.kept.messages > most) await compact(store)
        }
        for (const resolve of callers) resolve()
      } catch (err) {
        // The others must not wait for the archive; it takes in what the relay still has when it is there.
        outbox.start()
        waiting.push(...callers)
        isWanted = true
        if (ending.signal.aborted) break
        log.warn({ err }, 'The archive could not be read; trying again')
        await pause(clock, RETRY, ending.signal)
      }
    }
    isReading = false
    if (ending.signal.aborted) for (const resolve of waiting.splice(0)) resolve()
  }
  const wantCatchUp = () => {
    if (!history) return outbox.start()
    isWanted = true
    if (!isReading) void catchUp()
  }

  const follow = (topics: readonly string[]) => {
    transport.subscribe(topics).then(wantCatchUp, (err: unknown) => {
      if (!ending.signal.aborted) log.warn({ err }, 'A store could not be followed')
    })
  }
  if (byTopic.size > 0) follow([...byTopic.keys()])
  wantCatchUp()

  return {
    getMessage: async ({ account }) => syncMessage(account),

    async register({ account, signature }) {
      signatures.set(account, keysOf(signature))
      journal.note(REGISTRATION + account, signature)
      await journal.saved()
    },

    isRegistered: async ({ account }) => signatures.has(account),

    async create({ account, store: name }) {
      const key = signatures.get(account)?.(name)
      if (!key) throw new ProtocolError('not_found', 'the account is not registered')
      if (byName.get(nameOf({ account, store: name }))?.topic === key.topic) return
      const store = { ...key, kept: { account, name, messages: 0 }, state: new StoreState() }
      enter(store)
      noteStore(store)
      await journal.saved()
      follow([key.topic])
    },

    async set({ key, value, ...where }) {
      const store = storeAt(where)
      if (store.state.value(key) === value) return false
      await say(store, key, value)
      return true
    },

    async delete({ key, ...where }) {
      const store = storeAt(where)
      if (store.state.value(key) === undefined) return false
      await say(store, key, null)
      return true
    },

    async getStores({ account }) {
      const own = [...byTopic.values()].filter(({ kept }) => kept.account === account)
      return Object.fromEntries(own.map(({ topic, state }) => [topic, Object.fromEntries(state.entries())]))
    },

    value: ({ key, ...where }) => storeAt(where).state.value(key),
    entries: (where) => [...storeAt(where).state.entries()],

    on: (_, listener) => void listeners.add(listener),
    once(_, listener) {
      const once: Listener = (update) => {
        listeners.delete(once)
        listener(update)
      }
      listeners.add(once)
    },
    off: (_, listener) => void listeners.delete(listener),

    async received({ topic, message }) {
      const store = byTopic.get(topic)
      const said = store && opened(message, store.key)
      if (!store || !said) return
      store.kept.messages++
      if (!take(store, said.key, said.word)) return
      await journal.saved()
      tell(store, said.key, said.word)
    },

    connected: wantCatchUp,
    caughtUp() {
      if (!history) return Promise.resolve()
      const done = new Promise<void>((resolve) => waiting.push(resolve))
      wantCatchUp()
      return done
    },
    published: () => outbox.empty(),
    export: (where) => storeAt(where).state.export(),

    [Symbol.dispose]() {
      ending.abort()
      outbox.stop()
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}

/** Seconds. */
const COMPACTED_TTL = 3_600
