/**
 * The archive in Redis. What belongs to one topic shares the hash tag `{arc:<topic>}`.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{arc:<topic>}` | sorted set | message id by seq |
 * | `{arc:<topic>}m` | hash | message id → text (`../archive-rows`) |
 * | `{arc:<topic>}s` | hash | last seq, bytes, when the last message expires |
 * | `{arc:<topic>}o` | sorted set, all of score 0 | `owner seq id` of the messages that have an owner; seq has 16 digits |
 * | `{arcr:<client id>}` | string | the registration as JSON |
 * | `{arctags}` | sorted set | tag by until when there may be a registration of it |
 *
 * The keys of a topic go by themselves after its last message; in one that goes on, what expired goes when something
 * new comes. So there is nothing to sweep.
 */
import type { Archived, ArchiveStore, NewArchived, Registration } from '../../../archive/store.ts'
import { archivedOf, archivedText } from '../../rows/archived-message.ts'
import type { Channels } from '../channels.ts'
import type { RedisConnection } from '../connection.ts'
import { groupBy } from '../group-by.ts'
import { archiveDrop } from '../lua/archive/drop.ts'
import { archiveKeep } from '../lua/archive/keep.ts'
import { archivePage } from '../lua/archive/page.ts'
import { hash, KEY_GRACE_MS, name } from '../relay/rows.ts'
import { list, text, whole } from '../script.ts'

const CHANNEL = 'archive'
/** Messages that one script call drops, and that one puts. */
const MAX_CALL_DROPS = 2_000
const MAX_CALL = { messages: 200, bytes: 4 * 1024 * 1024 }

export const ARCHIVE_TOPIC = '{arc:'
export const ARCHIVE_CLIENT = '{arcr:'
export const archiveKeys = (prefix: string, topic: string): [string, string, string, string] => {
  const base = `${prefix}${ARCHIVE_TOPIC}${hash(topic)}}`
  return [base, `${base}m`, `${base}s`, `${base}o`]
}

export const parseRegistration = (json: string): Registration => {
  const {
    clientId,
    tags,
    owners = {},
    expiresAt,
  }: Partial<Registration> & Omit<Registration, 'owners'> = JSON.parse(json)
  return { clientId, tags, owners, expiresAt }
}

interface ArchiveDeps {
  redis: RedisConnection
  channels: Channels
  /** This process, in wake-ups. */
  instance: string
}

const tagsKey = ({ redis }: ArchiveDeps) => `${redis.prefix}{arctags}`

const clientKey = (deps: ArchiveDeps, clientId: string) =>
  `${deps.redis.prefix}${ARCHIVE_CLIENT}${name(clientId)}}`

/** In pieces, one after the other: the order of a topic is that of the calls. */
const put = async (
  deps: ArchiveDeps,
  topic: string,
  messages: readonly (NewArchived & { seq?: number })[],
  limits: { messages: number; bytes: number },
  now: number,
): Promise<void> => {
  let args: (string | number)[] = []
  let bytes = 0
  const flush = async () => {
    const rest = args
    args = []
    bytes = 0
    const bounds = [now, limits.messages, limits.bytes, KEY_GRACE_MS]
    if (rest.length > 0)
      await deps.redis.one(() =>
        deps.redis.script(archiveKeep, archiveKeys(deps.redis.prefix, topic), [...bounds, ...rest]),
      )
  }
  for (const message of messages) {
    args.push(hash(message.id), message.seq ?? '', message.expiresAt, archivedText(message))
    bytes += message.message.length
    if (args.length >= MAX_CALL.messages * 4 || bytes >= MAX_CALL.bytes) await flush()
  }
  await flush()
}

const putAll = async (
  deps: ArchiveDeps,
  messages: readonly (NewArchived & { seq?: number })[],
  limits: { messages: number; bytes: number },
  now: number,
) => {
  const byTopic = [...groupBy(messages, ({ topic }) => topic)]
  await Promise.all(byTopic.map(([topic, own]) => put(deps, topic, own, limits, now)))
}

const messageVerbs = (deps: ArchiveDeps): Pick<ArchiveStore, 'keep' | 'page' | 'drop'> => ({
  keep: (messages, limits, now) => putAll(deps, messages, limits, now),

  async page(topic, { origin = '', direction, limit, maxBytes, now }) {
    const [ids, texts] = archiveKeys(deps.redis.prefix, topic)
    const args = [now, direction, origin === '' ? '' : hash(origin), limit, maxBytes]
    const [next, ...rest] = list(
      await deps.redis.one(() => deps.redis.script(archivePage, [ids, texts], args)),
    )
    if (next === undefined) return undefined
    const messages: Archived[] = []
    for (let at = 0; at < rest.length; at += 2)
      messages.push(archivedOf(text(rest[at + 1]), topic, whole(rest[at])))
    return { messages, next: text(next) || undefined }
  },

  async drop(topic, before, owner) {
    for (;;) {
      const keys = archiveKeys(deps.redis.prefix, topic)
      const args = [hash(before), hash(owner), MAX_CALL_DROPS]
      const dropped = whole(await deps.redis.one(() => deps.redis.script(archiveDrop, keys, args)))
      if (dropped < 0) return false
      if (dropped < MAX_CALL_DROPS) return true
    }
  },
})

const registrationVerbs = (
  deps: ArchiveDeps,
): Pick<ArchiveStore, 'register' | 'registrations' | 'tags' | 'onRegister'> => ({
  async register(registration, now) {
    const { clientId, tags, expiresAt } = registration
    // Tags first: a reader without the tag does not look for the registration.
    if (tags.length > 0) {
      const scores = tags.flatMap((tag) => [expiresAt, tag])
      await deps.redis.one(() => deps.redis.client.zadd(tagsKey(deps), 'GT', ...scores))
    }
    const ttl = Math.ceil(Math.max(expiresAt - now, 0)) + KEY_GRACE_MS
    await deps.redis.one(() =>
      deps.redis.client.set(clientKey(deps, clientId), JSON.stringify(registration), 'PX', ttl),
    )
    deps.channels.publish([{ channel: CHANNEL, text: `${deps.instance} ${clientId} ${tags.join(',')}` }])
  },

  async registrations(clientIds, now) {
    const rows = await deps.redis.batch(() =>
      clientIds.map((clientId) => deps.redis.client.get(clientKey(deps, clientId))),
    )
    return rows
      .flatMap((json) => (json === null ? [] : [parseRegistration(json)]))
      .filter(({ expiresAt }) => expiresAt > now)
  },

  async tags(now, limit) {
    const live = () =>
      deps.redis.client.zrange(tagsKey(deps), `(${now}`, '+inf', 'BYSCORE', 'LIMIT', 0, limit)
    return (await deps.redis.one(live)).map(Number)
  },

  onRegister: (listener) =>
    deps.channels.listen([CHANNEL], (said) => {
      const [from, clientId, tags = ''] = said.split(' ')
      if (from === deps.instance || clientId === undefined) return
      listener({ clientId, tags: tags === '' ? [] : tags.split(',').map(Number) })
    }),
})

export const createRedisArchive = (
  deps: ArchiveDeps,
): ArchiveStore & { restore(messages: readonly Archived[]): Promise<void> } => ({
  ...messageVerbs(deps),
  ...registrationVerbs(deps),
  async sweep(now) {
    await deps.redis.one(() => deps.redis.client.zremrangebyscore(tagsKey(deps), '-inf', now - KEY_GRACE_MS))
    return 0
  },
  restore: (records) => {
    // They were within their limits; `now` only lengthens what Redis keeps.
    const unlimited = { messages: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER }
    return putAll(deps, records, unlimited, Date.now())
  },
})
