import { randomBytes } from 'node:crypto'
import type { AccountRecord, VersionedAccount } from '../../../notify/store/store.ts'
import { createCallBatcher } from '../call-batcher.ts'
import { forgetScript } from '../lua/notify/accounts/forget.ts'
import { pointScript } from '../lua/notify/accounts/point.ts'
import { type NotifyDeps, split } from './deps.ts'
import { partitionOf, TTL_MARGIN_MS } from './rows/layout.ts'
import { packAccount, unpackAccount } from './rows/packing.ts'
import { readRecord } from './rows/records.ts'

/** Accounts that one command reads. */
const MAX_LOOKUP_ACCOUNTS = 200

export type Account = VersionedAccount

/** One look-up that an account should be found by. */
export interface Pointer {
  key: string
  expiresAt: number
  /**
   * `only`: no other account can have it, like a topic, which follows from a fresh key. `new`: it may have been another
   * account's, or this one's before. `old`: it is this account's already, and only its time is prolonged.
   */
  kind: 'only' | 'new' | 'old'
}

export interface Lookups {
  /** Reads the account itself. */
  account(accountKey: string): Promise<Account>
  point(accountKey: string, pointers: readonly Pointer[]): Promise<void>
  /** The first candidate whose record fits. */
  resolve(
    key: string,
    fits: (record: AccountRecord) => boolean,
  ): Promise<({ accountKey: string } & Account) | undefined>
  /** Removes the look-up when it leads nowhere. */
  tidy(key: string, fits: (record: AccountRecord) => boolean): Promise<void>
}

/**
 * Look-ups from a topic or a watcher's identity key to accounts.
 *
 * A commit points before it, so that nothing is committed that cannot be found; and where others may have pointed
 * (watchers), again after it, because a sweep between the two may have looked, found no record that fits yet, and removed it; what is written after
 * the commit carries a new mark, which a sweep that looked earlier does not remove.
 */
export const createLookups = ({ redis, ask, layout, clock, partitions }: NotifyDeps): Lookups => {
  const own = randomBytes(3).toString('base64url')
  let marks = 0

  /** Dapps and delivery ask for many at once. */
  const text = createCallBatcher(
    {
      groupOf: (accountKey: string) => (redis.spansSlots ? 0 : partitionOf(accountKey)),
      most: MAX_LOOKUP_ACCOUNTS,
    },
    (accountKeys) => ask(() => redis.client.mget(...accountKeys.map((one) => layout.of(one).account(one)))),
  )

  const account = async (accountKey: string): Promise<Account> => {
    const found = await text(accountKey)
    if (found === null) return { version: 0, record: { subscriptions: [], watchers: [] } }
    const [version, json] = split(found)
    const record = readRecord(json, accountKey)
    partitions.learn(accountKey, record)
    return { version: Number(version), record }
  }

  const read = async (key: string, fits: (record: AccountRecord) => boolean) => {
    const value = await ask(() => redis.client.get(key))
    if (value === null) return undefined
    for (const candidate of value.split('\0').slice(1)) {
      const accountKey = unpackAccount(candidate)
      const found = await account(accountKey)
      if (fits(found.record)) return { value, found: { accountKey, ...found } }
    }
    return { value, found: undefined }
  }

  return {
    account,
    async point(accountKey, pointers) {
      const now = clock.now()
      const candidate = packAccount(accountKey)
      marks = (marks + 1) % 0xffffff
      const mark = `${own}${marks.toString(36)}`
      await Promise.all(
        pointers.map(async ({ key, expiresAt, kind }) => {
          const ttl = Math.max(expiresAt - now, 0) + TTL_MARGIN_MS.account
          if (kind === 'only') return ask(() => redis.client.set(key, `\0${candidate}`, 'PX', ttl))
          const args = [candidate, mark, ttl, kind === 'old' ? 'keep' : '']
          return ask(() => redis.script(pointScript, [key], args))
        }),
      )
    },
    async resolve(key, fits) {
      return (await read(key, fits))?.found
    },
    async tidy(key, fits) {
      const looked = await read(key, fits)
      if (looked && !looked.found) await ask(() => redis.script(forgetScript, [key], [looked.value]))
    },
  }
}
