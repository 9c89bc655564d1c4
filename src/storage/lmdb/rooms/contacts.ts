/**
 * The registry of installations in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | contacts.nonces | account key | the next nonce, and until when it is kept |
 * | contacts.installations | account key | its installations in order; expired ones until the next change or sweep |
 * | contacts.tokens | account key, id | until when the token is remembered |
 * | contacts.due | instant, account key, id of a token, or nothing, or a zero for the nonce | – (what a sweep looks at then) |
 */
import type { ContactsStore, Installation, Ticket } from '../../../contacts/store.ts'
import { BYTES, type Bytes, key, name, named, number, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

export type NonceRow = [next: number, until: number]

export interface ContactsTables {
  nonces: Rows<NonceRow>
  installations: Rows<Installation[]>
  tokens: Rows<number>
  due: Bytes
}

export const contactsTables = (env: Env): ContactsTables => ({
  nonces: env.openDB({ name: 'contacts.nonces', ...ROWS }),
  installations: env.openDB({ name: 'contacts.installations', ...ROWS }),
  tokens: env.openDB({ name: 'contacts.tokens', ...ROWS }),
  due: env.openDB({ name: 'contacts.due', ...BYTES }),
})

/** In `contacts.due`, in place of the id of a token, which has no zero. */
const NONCE = Buffer.alloc(1)

/** Writes within a transaction. */
export const contactsWriter = ({ nonces, installations, tokens, due }: ContactsTables) => ({
  nonce(accountKey: string, next: number, until: number): void {
    nonces.put(name(accountKey), [next, until])
    due.put(key(number(until), named(accountKey, NONCE)), PRESENT)
  },
  token(accountKey: string, id: string, until: number): void {
    const at = named(accountKey, name(id))
    tokens.put(at, until)
    due.put(key(number(until), at), PRESENT)
  },
  installations(accountKey: string, all: readonly Installation[]): void {
    const at = name(accountKey)
    if (all.length === 0) installations.remove(at)
    else installations.put(at, [...all])
    for (const { expiresAt } of all) due.put(key(number(expiresAt), named(accountKey)), PRESENT)
  },
})

/** Instant, then name, separator and what follows it. */
const INSTANT = 8

export const createLmdbContacts = (env: Env): ContactsStore => {
  const tables = contactsTables(env)
  const { nonces, installations, tokens, due } = tables
  const write = contactsWriter(tables)

  const isSpent = (accountKey: string, ticket: Ticket): boolean =>
    ticket.kind === 'nonce'
      ? (nonces.get(name(accountKey))?.[0] ?? ticket.first) !== ticket.nonce
      : tokens.get(named(accountKey, name(ticket.id))) !== undefined

  const spend = (accountKey: string, ticket: Ticket): void => {
    if (ticket.kind === 'nonce') write.nonce(accountKey, ticket.nonce + 1, ticket.until)
    else write.token(accountKey, ticket.id, ticket.until)
  }

  const liveOf = (accountKey: string, now: number): Installation[] =>
    (installations.get(name(accountKey)) ?? []).filter(({ expiresAt }) => expiresAt > now)

  return {
    async installations(accountKey, now) {
      return liveOf(accountKey, now)
    },

    async nonce(accountKey) {
      return nonces.get(name(accountKey))?.[0]
    },

    async grant(accountKey, ticket, { name: granted, value, expiresAt }, { now, most }) {
      const installation: Installation = { name: granted, value, expiresAt }
      return env.transaction(() => {
        if (isSpent(accountKey, ticket)) return 'used'
        const live = liveOf(accountKey, now)
        const place = live.findIndex((one) => one.name === granted && one.value === value)
        if (place === -1 && live.length >= most) return 'full'
        spend(accountKey, ticket)
        write.installations(
          accountKey,
          place === -1 ? [...live, installation] : live.with(place, installation),
        )
        return 'done'
      })
    },

    async revoke(accountKey, ticket, revoked, now) {
      return env.transaction(() => {
        if (isSpent(accountKey, ticket)) return 'used'
        spend(accountKey, ticket)
        const others = liveOf(accountKey, now).filter(
          (one) => one.name !== revoked.name || one.value !== revoked.value,
        )
        write.installations(accountKey, others)
        return 'done'
      })
    },

    async clear(accountKey) {
      return env.transaction(() => {
        const had = installations.get(name(accountKey))?.length ?? 0
        write.installations(accountKey, [])
        return had
      })
    },

    async sweep(now, limit) {
      return env.transaction(() => {
        // An instant that has come: up to and with `now`.
        const over = [...due.getKeys({ end: number(now + 1), limit })]
        for (const at of over) {
          const what = at.subarray(INSTANT)
          const separator = what.indexOf(0)
          const accountKey = what.toString('utf8', 0, separator)
          if (separator === what.length - 1) write.installations(accountKey, liveOf(accountKey, now))
          else if (what[separator + 1] !== 0) tokens.remove(what)
          // One that was used since has another end.
          else if ((nonces.get(name(accountKey))?.[1] ?? 0) <= now) nonces.remove(name(accountKey))
          due.remove(at)
        }
        return over.length
      })
    },
  }
}
