/**
 * Which client is subscribed to which topic. The topic is the truth about its subscribers; the client's index names its
 * topics. A topic is entered into the index before its subscription is made and leaves it after that one has ended, so that
 * the index misses none. The entry is made once more afterwards: an unsubscribe that ran in between took it out.
 */
import { ProtocolError } from '../../../protocol/errors.ts'
import type { PlacedVerb, Verb, Write } from '../../../storage/kv.ts'
import { ask, read, runOne } from '../../../storage/table.ts'
import { dayOf, type RelayStore, SUBSCRIPTION_LEASE_MS } from '../../store.ts'
import type { MailboxDeps } from './deps.ts'
import { identityOf } from './entries.ts'
import { OpenTopic } from './open-topic.ts'
import {
  CLIENT_PARTITIONS,
  MAILBOX_TABLES,
  rowsOfClient,
  rowsOfTopic,
  seenKey,
  type TopicRows,
  topicKey,
} from './rows.ts'

type Verbs = Pick<RelayStore, 'subscribe' | 'seen' | 'unsubscribe'>
type Joined = 'joined' | 'owned' | 'crowded'

/** Topics that are changed in one go: others wait meanwhile. */
const MAX_CHANGED = 64

const day4 = (day: number): Buffer => seenKey(day, '')

/** Writes how many subscriptions a client has and when it was last seen; never an earlier day than before. */
const clientWrites = (
  clientId: string,
  before: { count: number; day: number } | undefined,
  { count, day }: { count: number; day: number },
): Write[] => {
  const { row, seen } = rowsOfClient(clientId)
  const lastDay = Math.max(before?.day ?? 0, day)
  const writes: Write[] = []
  if (before && (before.day !== lastDay || count <= 0))
    writes.push(seen.remove(seenKey(before.day, clientId)))
  if (count <= 0) return before ? [...writes, row.remove()] : writes
  if (before?.day !== lastDay) writes.push(seen.put({ key: seenKey(lastDay, clientId), value: true }))
  if (before?.day !== lastDay || before.count !== count)
    writes.push(row.put({ value: { count, day: lastDay } }))
  return writes
}

/** Enters topics into the index; the total, -1 when it would be more than `limit`: then none is entered. */
const enter = (clientId: string, topics: readonly string[], now: number, limit = Number.POSITIVE_INFINITY) =>
  function* (): Verb<number> {
    const { row, interests } = rowsOfClient(clientId)
    const keys = topics.map(topicKey)
    const [client, ...found] = yield* ask([row.get(), ...keys.map((key) => interests.get(key))])
    const added = keys.filter((_, nth) => !found[nth]?.value)
    const total = (client.value?.count ?? 0) + added.length
    if (added.length > 0 && total > limit) return { answer: -1, writes: [] }
    const writes: Write[] = added.map((key) => interests.put({ key, value: true }))
    if (total > 0) writes.push(...clientWrites(clientId, client.value, { count: total, day: dayOf(now) }))
    return { answer: total, writes }
  }

const leave = (clientId: string, topics: readonly string[]) =>
  function* (): Verb<void> {
    const { row, interests } = rowsOfClient(clientId)
    const keys = topics.map(topicKey)
    const [client, ...found] = yield* ask([row.get(), ...keys.map((key) => interests.get(key))])
    const gone = keys.filter((_, nth) => found[nth]?.value)
    const before = client.value
    const writes: Write[] = gone.map((key) => interests.remove(key))
    if (before && gone.length > 0)
      writes.push(...clientWrites(clientId, before, { count: before.count - gone.length, day: before.day }))
    return { answer: undefined, writes }
  }

const join = (
  rows: TopicRows,
  clientId: string,
  { maxMembers, exclusive }: { maxMembers: number; exclusive: boolean },
) =>
  function* (): Verb<Joined> {
    const [{ value }] = yield* ask([rows.row.unlikely()])
    const hasMessages = value !== undefined && value.count > 0
    const cursors = hasMessages ? (yield* ask([rows.cursors.hint()]))[0].value : undefined
    const topic = new OpenTopic(rows, value, cursors)
    if (!exclusive && topic.isForeign(clientId)) return { answer: 'owned', writes: [] }
    const { subscribers } = topic.state
    if (!subscribers.includes(clientId)) {
      const isKnown = cursors?.some(({ key }) => key === identityOf(clientId).key)
      if (!isKnown && topic.memberCount() >= maxMembers) return { answer: 'crowded', writes: [] }
      topic.setSubscribers([...subscribers, clientId])
    }
    if (exclusive && topic.state.owner !== clientId) topic.own(clientId)
    return { answer: 'joined', writes: yield* topic.finish() }
  }

const end = (rows: TopicRows, clientId: string) =>
  function* (): Verb<void> {
    const [{ value }] = yield* ask([rows.row.get()])
    const topic = new OpenTopic(rows, value)
    const { owner, subscribers } = topic.state
    if (owner === clientId) topic.own('')
    if (subscribers.includes(clientId)) topic.setSubscribers(subscribers.filter((one) => one !== clientId))
    return { answer: undefined, writes: yield* topic.finish() }
  }

/** Ends what others have in a topic of this owner; answers who they were. */
const evict = (rows: TopicRows, owner: string) =>
  function* (): Verb<string[]> {
    const [{ value }, { value: cursors = [] }] = yield* ask([rows.row.get(), rows.cursors.get()])
    const topic = new OpenTopic(rows, value, cursors)
    if (topic.state.owner !== owner) return { answer: [], writes: [] }
    const others = topic.state.subscribers.filter((clientId) => clientId !== owner)
    const kept = cursors.filter(({ key }) => key === identityOf(owner).key)
    if (others.length > 0) topic.setSubscribers([owner])
    if (kept.length < cursors.length) topic.setCursors(kept)
    return { answer: others, writes: yield* topic.finish() }
  }

/** How a client becomes a subscriber: of which topics, and how many it may have. */
interface Wanted {
  clientId: string
  topics: readonly string[]
  now: number
  limit: number | undefined
  maxMembers: number
  exclusive: boolean
}
/** `total` is -1 where it would be too many: nothing was done then. */
interface Made {
  total: number
  joined: readonly Joined[]
}

/** Where this process is alone, the verbs of a turn are one transaction, in their order. */
const subscribeAtOnce = async (kv: MailboxDeps['kv'], wanted: Wanted): Promise<Made> => {
  const { clientId, topics, now, limit } = wanted
  let total = 0
  const joined: Joined[] = []
  const entering: PlacedVerb<void> = {
    partition: rowsOfClient(clientId).partition,
    *verb() {
      const { answer, writes } = yield* enter(clientId, topics, now, limit)()
      total = answer
      return { answer: undefined, writes }
    },
  }
  const joining = topics.map((topic, nth): PlacedVerb<void> => {
    const rows = rowsOfTopic(topic)
    return {
      partition: rows.partition,
      *verb() {
        if (total < 0) return { answer: undefined, writes: [] }
        const { answer, writes } = yield* join(rows, clientId, wanted)()
        joined[nth] = answer
        return { answer: undefined, writes }
      },
    }
  })
  await kv.run([entering, ...joining], now)
  return { total, joined }
}

type InTopics = <T>(
  topics: readonly string[],
  verbOf: (rows: TopicRows) => () => Verb<T>,
  now: number,
) => Promise<T[]>

const createInTopics =
  (kv: MailboxDeps['kv']): InTopics =>
  async <T>(topics: readonly string[], verbOf: (rows: TopicRows) => () => Verb<T>, now: number) => {
    const answers: T[] = []
    for (let at = 0; at < topics.length; at += MAX_CHANGED) {
      const verbs = topics.slice(at, at + MAX_CHANGED).map((topic): PlacedVerb<T> => {
        const rows = rowsOfTopic(topic)
        return { partition: rows.partition, verb: verbOf(rows) }
      })
      answers.push(...(await kv.run(verbs, now)))
    }
    return answers
  }

const subscribeInSteps = async (kv: MailboxDeps['kv'], inTopics: InTopics, wanted: Wanted): Promise<Made> => {
  const { clientId, topics, now, limit } = wanted
  const entering = enter(clientId, topics, now, limit)
  const total = await runOne(kv, rowsOfClient(clientId).partition, now, entering)
  if (total < 0) return { total, joined: [] }
  return { total, joined: await inTopics(topics, (rows) => join(rows, clientId, wanted), now) }
}

/** Ends what others have in topics that have got an owner. */
const evictAll = async (
  kv: MailboxDeps['kv'],
  inTopics: InTopics,
  { clientId, topics, now }: Pick<Wanted, 'clientId' | 'topics' | 'now'>,
): Promise<void> => {
  const out = await inTopics(topics, (rows) => evict(rows, clientId), now)
  const leaving = out.flatMap((clients, nth) =>
    clients.map((other): PlacedVerb<void> => {
      const { partition } = rowsOfClient(other)
      return { partition, verb: leave(other, topics.slice(nth, nth + 1)) }
    }),
  )
  await kv.run(leaving, now)
}

const createSubscribe =
  ({ kv, limits, wakes }: MailboxDeps, inTopics: InTopics): Verbs['subscribe'] =>
  async (clientId, wanted, { now, limit, exclusive = false }) => {
    const topics = [...new Set(wanted)]
    const { partition } = rowsOfClient(clientId)
    const maxMembers = limit === undefined ? Number.POSITIVE_INFINITY : limits.members
    const how = { clientId, topics, now, limit, maxMembers, exclusive }
    const { total, joined } = await (wakes ? subscribeInSteps(kv, inTopics, how) : subscribeAtOnce(kv, how))
    if (total < 0) throw new ProtocolError('rate_limited', `more than ${limit} topics`)
    const of = (which: Joined) => topics.filter((_, nth) => joined[nth] === which)
    const [owned, crowded] = [of('owned'), of('crowded')]
    const refused = [...owned, ...crowded]
    if (refused.length > 0) await runOne(kv, partition, now, leave(clientId, refused))
    const isSure = refused.length === 0 && !wakes
    const again = isSure ? total : await runOne(kv, partition, now, enter(clientId, of('joined'), now))
    if (exclusive) await evictAll(kv, inTopics, how)
    return { total: again, owned, crowded }
  }

export const createSubscriptions = (
  deps: MailboxDeps,
): { verbs: Verbs; lapse: (now: number, limit: number) => Promise<number> } => {
  const { kv } = deps
  const inTopics = createInTopics(kv)
  const subscribe = createSubscribe(deps, inTopics)

  const unsubscribe = async (clientId: string, unwanted: readonly string[]): Promise<void> => {
    const topics = [...new Set(unwanted)]
    if (topics.length === 0) return
    await inTopics(topics, (rows) => end(rows, clientId), 0)
    await runOne(kv, rowsOfClient(clientId).partition, 0, leave(clientId, topics))
  }

  const seen: Verbs['seen'] = async (clientIds, now) => {
    const day = dayOf(now)
    const verbs = [...new Set(clientIds)].map((clientId): PlacedVerb<void> => {
      const { partition, row } = rowsOfClient(clientId)
      return {
        partition,
        *verb() {
          const [{ value }] = yield* ask([row.get()])
          const isStale = value !== undefined && value.day < day
          return {
            answer: undefined,
            writes: isStale ? clientWrites(clientId, value, { ...value, day }) : [],
          }
        },
      }
    })
    await kv.run(verbs, now)
  }

  return { verbs: { subscribe, unsubscribe, seen }, lapse: createLapse(kv, { subscribe, unsubscribe }) }
}

/** Ends at most `limit` subscriptions of clients that were not seen for too long; returns how many. */
const createLapse =
  (kv: MailboxDeps['kv'], { subscribe, unsubscribe }: Pick<Verbs, 'subscribe' | 'unsubscribe'>) =>
  async (now: number, limit: number): Promise<number> => {
    const firstDay = dayOf(now - SUBSCRIPTION_LEASE_MS)
    if (limit <= 0) return 0
    const due = await read(
      kv,
      CLIENT_PARTITIONS.map((partition) =>
        MAILBOX_TABLES.SEEN.in(partition).keys({ to: day4(firstDay), limit: 100 }),
      ),
    )
    let ended = 0
    for (const key of due.flat()) {
      if (ended >= limit) break
      const clientId = key.toString('utf8', 4)
      const { row, interests } = rowsOfClient(clientId)
      const [keys] = await read(kv, [interests.keys({ limit: limit - ended })])
      const topics = keys.map((one) => one.toString('hex'))
      await unsubscribe(clientId, topics)
      const [{ value }] = await read(kv, [row.get()])
      // It came back meanwhile. It has what it subscribed to since, and again what it had before.
      if (value && value.day >= firstDay) await subscribe(clientId, topics, { now })
      else ended += topics.length
    }
    return ended
  }
