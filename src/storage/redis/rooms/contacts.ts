/**
 * The registry of installations in Redis.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{d:<account key>}n` | string | `<next nonce> <attempt>`: the attempt that used the one before; it begins with until when this is kept |
 * | `{d:<account key>}i` | hash | hash of name and value → `<place> <expiresAt> <name> <value>` |
 * | `{d:<account key>}t<id>` | string | of a token that was used: the attempt, which begins with until when it is remembered |
 *
 * An attempt is one call of a verb. It is kept because a connection that is lost sends again what was not answered: the
 * second time must say that it is done, not that somebody else did it.
 *
 * Nonces, tokens and the last of an account's installations are removed by Redis' own TTL, an expired one among live ones by the
 * next grant: there is nothing to sweep.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { ContactsStore, Installation, Ticket } from '../../../contacts/store.ts'
import type { RedisConnection } from '../connection.ts'
import { contactsGrant } from '../lua/contacts/grant.ts'
import { contactsRevoke } from '../lua/contacts/revoke.ts'
import { KEY_GRACE_MS, name } from '../relay/rows.ts'
import { text } from '../script.ts'

type Named = Pick<Installation, 'name' | 'value'>

export interface ContactsKeys {
  nonce(accountKey: string): string
  installations(accountKey: string): string
  token(accountKey: string, id: string): string
}

/** What the keys of an account begin with, behind the prefix. */
export const ACCOUNT_KEY = '{d:'

export const contactsKeys = (prefix: string): ContactsKeys => {
  const account = (accountKey: string) => `${prefix}${ACCOUNT_KEY}${name(accountKey)}}`
  return {
    nonce: (accountKey) => `${account(accountKey)}n`,
    installations: (accountKey) => `${account(accountKey)}i`,
    token: (accountKey, id) => `${account(accountKey)}t${name(id)}`,
  }
}

/** Two values of 16 KiB must not be two fields of 16 KiB. */
export const fieldOf = ({ name: named, value }: Named): string =>
  createHash('sha256').update(`${named} ${value}`).digest('base64url')

export const readRow = (row: string): { place: number; installation: Installation } => {
  const [place, expiresAt, named = '', value = ''] = row.split(' ')
  return { place: Number(place), installation: { name: named, value, expiresAt: Number(expiresAt) } }
}

/** All of one account, in order. */
export const readRows = (rows: Record<string, string>): Installation[] =>
  Object.values(rows)
    .map(readRow)
    .sort((a, b) => a.place - b.place)
    .map(({ installation }) => installation)

/** Of a token. */
export const attemptOf = (until: number): string => `${until} ${randomUUID()}`
export const untilOf = (attempt: string | null): number => Number(attempt?.split(' ', 1)[0] ?? 0)

export const createRedisContacts = (redis: RedisConnection): ContactsStore => {
  const { client } = redis
  const keys = contactsKeys(redis.prefix)

  const spending = (accountKey: string, ticket: Ticket, now: number) => {
    const nonce = keys.nonce(accountKey)
    const isNonce = ticket.kind === 'nonce'
    return {
      keys: [nonce, isNonce ? nonce : keys.token(accountKey, ticket.id), keys.installations(accountKey)],
      args: [
        attemptOf(ticket.until),
        ...(isNonce ? [ticket.nonce, ticket.nonce + 1] : ['', '']),
        ...[ttlMsOf(ticket.until, now), isNonce ? ticket.first : ''],
      ],
    }
  }

  const granted = (answer: string) => {
    if (answer === 'done' || answer === 'used' || answer === 'full') return answer
    throw new Error(`A script answered ${answer}`)
  }

  return {
    async installations(accountKey, now) {
      const rows = await redis.one(() => client.hgetall(keys.installations(accountKey)))
      return readRows(rows).filter(({ expiresAt }) => expiresAt > now)
    },

    async nonce(accountKey) {
      const stored = await redis.one(() => client.get(keys.nonce(accountKey)))
      return stored === null ? undefined : Number(stored.split(' ', 1)[0])
    },

    async grant(accountKey, ticket, installation, { now, most }) {
      const { keys: own, args } = spending(accountKey, ticket, now)
      const { name: named, value, expiresAt } = installation
      const row = [fieldOf(installation), expiresAt, `${named} ${value}`, now, most, ttlMsOf(expiresAt, now)]
      return granted(text(await redis.one(() => redis.script(contactsGrant, own, [...args, ...row]))))
    },

    async revoke(accountKey, ticket, installation, now) {
      const { keys: own, args } = spending(accountKey, ticket, now)
      const call = () => redis.script(contactsRevoke, own, [...args, fieldOf(installation)])
      return granted(text(await redis.one(call))) === 'used' ? 'used' : 'done'
    },

    async clear(accountKey) {
      const key = keys.installations(accountKey)
      const [had] = await redis.batch(() => [client.hlen(key), client.unlink(key)])
      return had ?? 0
    },

    async sweep() {
      return 0
    },
  }
}

/** Longer than it counts, because clocks differ. */
export const ttlMsOf = (until: number, now: number): number =>
  Math.max(Math.ceil(until - now), 1) + KEY_GRACE_MS
