/** The registry of installations as records, and back. There is no list of accounts: the keys are walked. */
import type { Page, Readers, Records, Writers } from '../../transfer/transfer.ts'
import type { RedisConnection } from '../connection.ts'
import {
  ACCOUNT_KEY,
  attemptOf,
  contactsKeys,
  fieldOf,
  readRows,
  ttlMsOf,
  untilOf,
} from '../rooms/contacts.ts'
import { scanKeys } from '../scan.ts'

type ContactsTable = 'contactNonce' | 'contactToken' | 'installations'

/** Behind the account key: which of its keys it is. */
const NONCE_END = '}n'
const INSTALLATIONS_END = '}i'
const TOKEN_END = '}t'
/** Keys that are read together; what an account has may be long. */
const PAGE_KEYS = 100

const accountOf = (redis: RedisConnection, key: string) =>
  key.slice(redis.prefix.length + ACCOUNT_KEY.length, key.indexOf('}', redis.prefix.length))

async function* pages<R>(
  redis: RedisConnection,
  end: string,
  after: string | undefined,
  recordOf: (key: string, accountKey: string) => Promise<R | undefined>,
): AsyncIterable<Page<R>> {
  for await (const { keys: found, from } of scanKeys(redis, { pattern: `${ACCOUNT_KEY}*${end}` }, after)) {
    for (let at = 0; at < found.length; at += PAGE_KEYS) {
      const some = found.slice(at, at + PAGE_KEYS)
      const records = await redis.batch(() => some.map((key) => recordOf(key, accountOf(redis, key))))
      yield { records: records.flatMap((record) => record ?? []), cursor: from }
    }
  }
}

const size = async () => undefined

const each =
  <R>(redis: RedisConnection, put: (record: R) => Promise<unknown>) =>
  async (records: readonly R[]): Promise<R[]> => {
    await redis.batch(() => records.map(put))
    return []
  }

const putInstallations = async (
  redis: RedisConnection,
  { accountKey, installations }: Records['installations'],
) => {
  const key = contactsKeys(redis.prefix).installations(accountKey)
  const rows = installations.flatMap((one, at) => [
    fieldOf(one),
    `${at + 1} ${one.expiresAt} ${one.name} ${one.value}`,
  ])
  const last = Math.max(...installations.map(({ expiresAt }) => expiresAt))
  await Promise.all([redis.client.hset(key, ...rows), redis.client.pexpire(key, ttlMsOf(last, Date.now()))])
}

const readers = (redis: RedisConnection): Pick<Readers, ContactsTable> => ({
  contactNonce: {
    read: ({ now, after }) =>
      pages(redis, NONCE_END, after, async (key, accountKey) => {
        const [nonce, attempt = ''] = (await redis.client.get(key))?.split(/ (.*)/, 2) ?? []
        const until = untilOf(attempt)
        return until > now ? { accountKey, nonce: Number(nonce), until } : undefined
      }),
    size,
  },
  contactToken: {
    // Any key of an account: only the id stands behind the sign of a token.
    read: ({ now, after }) =>
      pages(redis, '', after, async (key, accountKey) => {
        const at = key.indexOf(TOKEN_END, redis.prefix.length)
        const until = at === -1 ? 0 : untilOf(await redis.client.get(key))
        return until > now ? { accountKey, id: key.slice(at + TOKEN_END.length), until } : undefined
      }),
    size,
  },
  installations: {
    read: ({ now, after }) =>
      pages(redis, INSTALLATIONS_END, after, async (key, accountKey) => {
        const live = readRows(await redis.client.hgetall(key)).filter(({ expiresAt }) => expiresAt > now)
        return live.length > 0 ? { accountKey, installations: live } : undefined
      }),
    size,
  },
})

const writers = (redis: RedisConnection): Pick<Writers, ContactsTable> => ({
  contactNonce: {
    write: each(redis, ({ accountKey, nonce, until }) =>
      redis.client.set(
        contactsKeys(redis.prefix).nonce(accountKey),
        `${nonce} ${attemptOf(until)}`,
        'PX',
        ttlMsOf(until, Date.now()),
      ),
    ),
  },
  contactToken: {
    write: each(redis, ({ accountKey, id, until }) =>
      redis.client.set(
        contactsKeys(redis.prefix).token(accountKey, id),
        attemptOf(until),
        'PX',
        ttlMsOf(until, Date.now()),
      ),
    ),
  },
  installations: { write: each(redis, (argument0) => putInstallations(redis, argument0)) },
})

export const createContactsTransfer = (redis: RedisConnection) => ({
  read: readers(redis),
  write: writers(redis),
})
