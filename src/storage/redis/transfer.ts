/**
 * What Redis holds as records, and back (`../transfer.ts`). Reading follows the lists that the stores keep, and walks
 * the keys where there are none (SCAN); writing uses the rooms' verbs where those are exact, and scripts otherwise.
 *
 * There is no moment of it all: each record is as it was when it was read, and what changes meanwhile may be among
 * them or not.
 */
import type { Sealed } from '../../notify/store.ts'
import type { Stores } from '../stores.ts'
import type { Page, Readers, Transfer } from '../transfer.ts'
import { writesByVerbs } from '../transfer-writes.ts'
import type { RedisConnection } from './connection.ts'
import { parsed } from './notify-deps.ts'
import { createLayout } from './notify-layout.ts'
import { scanKeys } from './scan.ts'
import { createNotifyTransfer } from './transfer-notify.ts'
import { createRelayTransfer } from './transfer-relay.ts'

const PAGE = 500
const INVITE = '{v:'

export const createRedisTransfer = (
  redis: RedisConnection,
  { keys, notify, relay }: Pick<Stores, 'keys' | 'notify' | 'relay'>,
): Transfer => {
  const { client, prefix } = redis
  const layout = createLayout(prefix)
  const mailboxes = createRelayTransfer(redis, relay)
  const rest = createNotifyTransfer(redis)
  const noteKey = `${prefix}transfer`

  /** A list that a verb of its room gives in pages. */
  const pages = <R>(
    page: (from: { after?: string; limit: number }) => Promise<R[]>,
    nameOf: (record: R) => string,
  ) =>
    async function* ({ after }: { after?: string | undefined }): AsyncIterable<Page<R>> {
      for (let last = after; ; ) {
        const records = await page({ limit: PAGE, ...(last !== undefined && { after: last }) })
        const end = records.at(-1)
        if (end === undefined) return
        last = nameOf(end)
        yield { records, cursor: last }
      }
    }
  const zcard = (key: string) => () => redis.one(() => client.zcard(key))

  const read: Readers = {
    identity: {
      read: pages(keys.identities, ({ identityKey }) => identityKey),
      size: zcard(`${prefix}{identities}`),
    },
    invite: {
      async *read({ after }) {
        for await (const { keys: found, from } of scanKeys(redis, { begin: INVITE, end: '}' }, after)) {
          const accountKeys = found.map((key) => key.slice(prefix.length + INVITE.length, -1))
          const entries = await Promise.all(accountKeys.map((accountKey) => keys.invite(accountKey)))
          const records = entries.flatMap((entry, at) => {
            const accountKey = accountKeys[at]
            return entry && accountKey !== undefined ? [{ accountKey, ...entry }] : []
          })
          yield { records, cursor: from }
        }
      },
      size: async () => undefined,
    },
    serverKeys: {
      async *read() {
        const own = parsed<Record<string, Sealed>>(await redis.one(() => client.get(layout.server)))
        if (own) yield { records: [{ keys: own }], cursor: undefined }
      },
      size: async () => 1,
    },
    project: { read: pages(notify.projects, ({ id }) => id), size: zcard(layout.projects) },
    app: { read: pages(notify.apps, ({ domain }) => domain), size: zcard(layout.apps) },
    ...rest.read,
    ...mailboxes.read,
  }

  return {
    read,
    write: { ...writesByVerbs({ keys, notify }), ...rest.write, ...mailboxes.write },
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
