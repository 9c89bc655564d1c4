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
const INSTANT_BYTES = 8

type ContactsState = ReturnType<typeof contactsTables> & {
  env: Env
  write: ReturnType<typeof contactsWriter>
}

const isSpent = (contacts: ContactsState, accountKey: string, ticket: Ticket): boolean =>
  ticket.kind === 'nonce'
    ? (contacts.nonces.get(name(accountKey))?.[0] ?? ticket.first) !== ticket.nonce
    : contacts.tokens.get(named(accountKey, name(ticket.id))) !== undefined

const spend = (contacts: ContactsState, accountKey: string, ticket: Ticket): void => {
  if (ticket.kind === 'nonce') contacts.write.nonce(accountKey, ticket.nonce + 1, ticket.until)
  else contacts.write.token(accountKey, ticket.id, ticket.until)
}

const liveOf = (contacts: ContactsState, accountKey: string, now: number): Installation[] =>
  (contacts.installations.get(name(accountKey)) ?? []).filter(({ expiresAt }) => expiresAt > now)

const grantVerbs = (
  contacts: ContactsState,
): Pick<ContactsStore, 'installations' | 'nonce' | 'grant' | 'revoke'> => ({
  async installations(accountKey, now) {
    return liveOf(contacts, accountKey, now)
  },

  async nonce(accountKey) {
    return contacts.nonces.get(name(accountKey))?.[0]
  },

  async grant(accountKey, ticket, { name: granted, value, expiresAt }, { now, most }) {
    const installation: Installation = { name: granted, value, expiresAt }
    return contacts.env.transaction(() => {
      if (isSpent(contacts, accountKey, ticket)) return 'used'
      const live = liveOf(contacts, accountKey, now)
      const place = live.findIndex((one) => one.name === granted && one.value === value)
      if (place === -1 && live.length >= most) return 'full'
      spend(contacts, accountKey, ticket)
      contacts.write.installations(
        accountKey,
        place === -1 ? [...live, installation] : live.with(place, installation),
      )
      return 'done'
    })
  },

  async revoke(accountKey, ticket, revoked, now) {
    return contacts.env.transaction(() => {
      if (isSpent(contacts, accountKey, ticket)) return 'used'
      spend(contacts, accountKey, ticket)
      const others = liveOf(contacts, accountKey, now).filter(
        (one) => one.name !== revoked.name || one.value !== revoked.value,
      )
      contacts.write.installations(accountKey, others)
      return 'done'
    })
  },
})

const removalVerbs = (contacts: ContactsState): Pick<ContactsStore, 'clear' | 'sweep'> => ({
  async clear(accountKey) {
    return contacts.env.transaction(() => {
      const had = contacts.installations.get(name(accountKey))?.length ?? 0
      contacts.write.installations(accountKey, [])
      return had
    })
  },

  async sweep(now, limit) {
    return contacts.env.transaction(() => {
      // An instant that has come: up to and with `now`.
      const over = [...contacts.due.getKeys({ end: number(now + 1), limit })]
      for (const at of over) {
        const what = at.subarray(INSTANT_BYTES)
        const separator = what.indexOf(0)
        const accountKey = what.toString('utf8', 0, separator)
        if (separator === what.length - 1)
          contacts.write.installations(accountKey, liveOf(contacts, accountKey, now))
        else if (what[separator + 1] !== 0) contacts.tokens.remove(what)
        // One that was used since has another end.
        else if ((contacts.nonces.get(name(accountKey))?.[1] ?? 0) <= now)
          contacts.nonces.remove(name(accountKey))
        contacts.due.remove(at)
      }
      return over.length
    })
  },
})

export const createLmdbContacts = (env: Env): ContactsStore => {
  const tables = contactsTables(env)
  const contacts: ContactsState = { env, ...tables, write: contactsWriter(tables) }

  return {
    ...grantVerbs(contacts),
    ...removalVerbs(contacts),
  }
}
