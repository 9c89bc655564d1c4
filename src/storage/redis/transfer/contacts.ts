/** The registry of installations as records, and back. There is no list of accounts: the keys are walked. */
import type { Page, Readers, Records, Writers } from '../../transfer/transfer.ts'
import type { RedisConnection } from '../connection.ts'
import { ACCOUNT, attemptOf, contactsKeys, fieldOf, kept, readRows, untilOf } from '../rooms/contacts.ts'
import { scanKeys } from '../scan.ts'

type ContactsTable = 'contactNonce' | 'contactToken' | 'installations'

/** Behind the account key: which of its keys it is. */
const NONCE = '}n'
const INSTALLATIONS = '}i'
const TOKEN = '}t'
/** Keys that are read together; what an account has may be long. */
const TOGETHER = 100

export const createContactsTransfer = (redis: RedisConnection) => {
  const { client, prefix } = redis
  const keys = contactsKeys(prefix)

  const accountOf = (key: string) =>
    key.slice(prefix.length + ACCOUNT.length, key.indexOf('}', prefix.length))

  async function* pages<R>(
    end: string,
    after: string | undefined,
    recordOf: (key: string, accountKey: string) => Promise<R | undefined>,
  ): AsyncIterable<Page<R>> {
    for await (const { keys: found, from } of scanKeys(redis, { pattern: `${ACCOUNT}*${end}` }, after)) {
      for (let at = 0; at < found.length; at += TOGETHER) {
        const some = found.slice(at, at + TOGETHER)
        const records = await redis.batch(() => some.map((key) => recordOf(key, accountOf(key))))
        yield { records: records.flatMap((record) => record ?? []), cursor: from }
      }
    }
  }
  const size = async () => undefined

  const read: Pick<Readers, ContactsTable> = {
    contactNonce: {
      read: ({ now, after }) =>
        pages(NONCE, after, async (key, accountKey) => {
          const [nonce, attempt = ''] = (await client.get(key))?.split(/ (.*)/, 2) ?? []
          const until = untilOf(attempt)
          return until > now ? { accountKey, nonce: Number(nonce), until } : undefined
        }),
      size,
    },
    contactToken: {
      // Any key of an account: only the id stands behind the sign of a token.
      read: ({ now, after }) =>
        pages('', after, async (key, accountKey) => {
          const at = key.indexOf(TOKEN, prefix.length)
          const until = at === -1 ? 0 : untilOf(await client.get(key))
          return until > now ? { accountKey, id: key.slice(at + TOKEN.length), until } : undefined
        }),
      size,
    },
    installations: {
      read: ({ now, after }) =>
        pages(INSTALLATIONS, after, async (key, accountKey) => {
          const live = readRows(await client.hgetall(key)).filter(({ expiresAt }) => expiresAt > now)
          return live.length > 0 ? { accountKey, installations: live } : undefined
        }),
      size,
    },
  }

  const each =
    <R>(put: (record: R) => Promise<unknown>) =>
    async (records: readonly R[]): Promise<R[]> => {
      await redis.batch(() => records.map(put))
      return []
    }

  const putInstallations = async ({ accountKey, installations }: Records['installations']) => {
    const key = keys.installations(accountKey)
    const rows = installations.flatMap((one, at) => [
      fieldOf(one),
      `${at + 1} ${one.expiresAt} ${one.name} ${one.value}`,
    ])
    const last = Math.max(...installations.map(({ expiresAt }) => expiresAt))
    await Promise.all([client.hset(key, ...rows), client.pexpire(key, kept(last, Date.now()))])
  }

  const write: Pick<Writers, ContactsTable> = {
    contactNonce: {
      write: each(({ accountKey, nonce, until }) =>
        client.set(keys.nonce(accountKey), `${nonce} ${attemptOf(until)}`, 'PX', kept(until, Date.now())),
      ),
    },
    contactToken: {
      write: each(({ accountKey, id, until }) =>
        client.set(keys.token(accountKey, id), attemptOf(until), 'PX', kept(until, Date.now())),
      ),
    },
    installations: { write: each(putInstallations) },
  }
  return { read, write }
}
