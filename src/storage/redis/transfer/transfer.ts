/**
 * What Redis holds as records, and back (`../../transfer/transfer.ts`). Reading follows the lists that the stores keep, and walks
 * the keys where there are none (SCAN); writing uses the rooms' verbs where those are exact, and scripts otherwise.
 *
 * There is no snapshot: each record is as it was when it was read, and what changes meanwhile may be among
 * them or not.
 */
import type { Sealed } from '../../../notify/store/store.ts'
import type { Kv } from '../../kv.ts'
import { readersOfRows } from '../../transfer/kv-readers.ts'
import type { Page, Readers, Transfer } from '../../transfer/transfer.ts'
import { type Transferred, writesByVerbs } from '../../transfer/writes.ts'
import type { RedisConnection } from '../connection.ts'
import { parsed } from '../notify/deps.ts'
import { createLayout, type Layout } from '../notify/rows/layout.ts'
import { watchedOf } from '../relay/webhook-registrations.ts'
import { scanPairs } from '../scan.ts'
import { createNotifyTransfer } from './notify.ts'
import { createRelayTransfer } from './relay.ts'

const PAGE_SIZE = 500
/** Pairs that a scan of one key looks at in one go. */
const SCAN_COUNT = 1_000

/** What all tables are read from. */
interface Source {
  redis: RedisConnection
  rooms: Transferred
  layout: Layout
}

/** A list that a verb of its room gives in pages. */
const pages = <R>(
  page: (from: { after?: string; limit: number }) => Promise<R[]>,
  nameOf: (record: R) => string,
) =>
  async function* ({ after }: { after?: string | undefined }): AsyncIterable<Page<R>> {
    for (let last = after; ; ) {
      const records = await page({ limit: PAGE_SIZE, ...(last !== undefined && { after: last }) })
      const end = records.at(-1)
      if (end === undefined) return
      last = nameOf(end)
      yield { records, cursor: last }
    }
  }
const sizeOfSet = (redis: RedisConnection, key: string) => () => redis.one(() => redis.client.zcard(key))
const unknownSize = async () => undefined

/** The notify server's keys, projects and apps. */
const appReaders = ({
  redis,
  rooms,
  layout,
}: Source): Pick<Readers, 'serverKeys' | 'project' | 'webhook' | 'app'> => {
  const { client } = redis
  const { notify } = rooms
  const projectPages = pages(notify.projects, ({ id }) => id)
  return {
    serverKeys: {
      async *read() {
        const own = parsed<Record<string, Sealed>>(await redis.one(() => client.get(layout.server)))
        if (own) yield { records: [{ keys: own }], cursor: undefined }
      },
      size: async () => 1,
    },
    project: { read: projectPages, size: sizeOfSet(redis, layout.projects) },
    webhook: {
      async *read({ after }) {
        for await (const { records: projects, cursor } of projectPages({ after })) {
          const found = await Promise.all(
            projects.map(async ({ id }) => ({
              projectId: id,
              webhooks: (await notify.webhooks(id)).webhooks,
            })),
          )
          yield { records: found.filter(({ webhooks }) => webhooks.length > 0), cursor }
        }
      },
      size: unknownSize,
    },
    app: { read: pages(notify.apps, ({ domain }) => domain), size: sizeOfSet(redis, layout.apps) },
  }
}

/** Webhook registrations of the relay. */
const workReaders = ({ redis, rooms }: Source): Pick<Readers, 'watch'> => {
  const { client, prefix } = redis
  const { relay } = rooms
  const watched = watchedOf(prefix)
  return {
    watch: {
      async *read({ now }) {
        const scan = (cursor: string) => redis.one(() => client.zscan(watched, cursor, 'COUNT', SCAN_COUNT))
        for await (const pairs of scanPairs(scan)) {
          const clientIds = pairs.map(([clientId]) => clientId)
          yield { records: await relay.watches(clientIds, now, true), cursor: undefined }
        }
      },
      size: unknownSize,
    },
  }
}

export const createRedisTransfer = (
  { redis, kv }: { redis: RedisConnection; kv: Kv },
  rooms: Transferred,
): Transfer => {
  const { client, prefix } = redis
  const mailboxes = createRelayTransfer(redis, rooms.relay)
  const rest = createNotifyTransfer(redis)
  const source: Source = { redis, rooms, layout: createLayout(prefix) }
  const noteKey = `${prefix}transfer`
  const read: Readers = {
    ...appReaders(source),
    ...rest.read,
    ...mailboxes.read,
    ...readersOfRows(kv),
    ...workReaders(source),
  }

  return {
    read,
    write: { ...writesByVerbs(rooms), ...rest.write, ...mailboxes.write },
    snapshot: () => ({ ...read, [Symbol.dispose]: () => {} }),
    async note() {
      return (await redis.one(() => client.get(noteKey))) ?? undefined
    },
    async setNote(note) {
      await redis.one(async () => {
        if (note === undefined) await client.del(noteKey)
        else await client.set(noteKey, note)
      })
    },
  }
}
