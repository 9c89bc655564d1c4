/**
 * What the registry of installations asks of storage. `accountKey`: see `account-key`, as it is kept. One account is one unit
 * of atomicity. Promises resolve when durable.
 */

import * as z from 'zod'
import type { Clock } from '../platform/runtime/clock.ts'
import { float, json } from '../storage/codec.ts'
import type { Kv, Write } from '../storage/kv.ts'
import { defineTable, mapped, read, transact } from '../storage/table.ts'

/** A device's key package under an account. An account has one of each name and value. */
export interface Installation {
  /** `xmtp/installation/…`, without padding. */
  name: string
  /** The bytes in base64url. */
  value: string
  /** Unix ms; at that instant it is no longer there. */
  expiresAt: number
}

/** What a change is allowed by, once: the account's next nonce, or a token by its own name. */
export type Ticket =
  /**
   * `first`: what is next for an account of which none is kept. `until`: unix ms, until when the next one is kept; later
   * than that `first` is above all that was ever used.
   */
  | { kind: 'nonce'; nonce: number; first: number; until: number }
  /** `until`: unix ms, until when it is remembered that the token was used. */
  | { kind: 'token'; id: string; until: number }

/** `used`: the ticket was spent, or another nonce is next. `full`: too many live ones; the ticket is still good. */
export type Granted = 'done' | 'used' | 'full'

/** An account's nonce is kept for so long after its last change. */
export const NONCE_LIFE_MS = 366 * 86_400_000

/** What is kept of an account, as one thing each: for backups. */
export type ContactsRecord =
  | { kind: 'nonce'; accountKey: string; nonce: number; until: number }
  | { kind: 'token'; accountKey: string; id: string; until: number }
  | { kind: 'installations'; accountKey: string; installations: readonly Installation[] }

export interface ContactsStore {
  /** The live ones, in the order in which they were granted. */
  installations(accountKey: string, now: number): Promise<Installation[]>
  /** The next nonce; undefined where none is kept. */
  nonce(accountKey: string): Promise<number | undefined>
  /**
   * Spends the ticket and adds the installation, both or neither. One that is live already keeps its place and gets the
   * new expiry. `most`: live ones that an account may have.
   */
  grant(
    accountKey: string,
    ticket: Ticket,
    installation: Installation,
    bounds: { now: number; most: number },
  ): Promise<Granted>
  /** Spends the ticket and removes the installation, both or neither; there need be none. */
  revoke(
    accountKey: string,
    ticket: Ticket,
    installation: Pick<Installation, 'name' | 'value'>,
    now: number,
  ): Promise<Exclude<Granted, 'full'>>
  /** Removes all installations of an account, and nothing else: what was spent stays spent. Answers how many there were. */
  clear(accountKey: string): Promise<number>
  /** Puts back what a backup kept; bears repetition, and replaces what is there. */
  restore(records: readonly ContactsRecord[]): Promise<void>
}

const installationSchema: z.ZodType<Installation> = z.object({
  name: z.string(),
  value: z.string(),
  expiresAt: z.number(),
})

/** The partition is the account. */
export const CONTACTS_TABLES = {
  /** The next nonce, and until when it is kept. */
  nonces: defineTable({
    name: 'contacts.nonces',
    shape: 'cell',
    ends: true,
    codec: json(z.tuple([z.number(), z.number()])),
  }),
  /** By the id of the token: until when it is remembered. */
  tokens: defineTable({ name: 'contacts.tokens', shape: 'cell', ends: true, codec: float }),
  /** All of an account, in their order; expired ones until the next change. */
  installations: defineTable({
    name: 'contacts.installations',
    shape: 'cell',
    ends: true,
    codec: json(z.array(installationSchema)),
  }),
}
const { nonces, tokens, installations } = CONTACTS_TABLES

const liveAt = (all: readonly Installation[] | undefined, now: number): Installation[] =>
  (all ?? []).filter(({ expiresAt }) => expiresAt > now)

const putInstallations = (accountKey: string, all: readonly Installation[]): Write => {
  const cell = installations.in(accountKey)
  return all.length === 0
    ? cell.remove()
    : cell.put({ value: [...all], expiresAt: Math.max(...all.map(({ expiresAt }) => expiresAt)) })
}
const putNonce = (accountKey: string, next: number, until: number): Write =>
  nonces.in(accountKey).put({ value: [next, until], expiresAt: until })
const putToken = (accountKey: string, id: string, until: number): Write =>
  tokens.in(accountKey, id).put({ value: until, expiresAt: until })

/** Whether the ticket is spent, and the check that this is so still. */
const ticketState = (accountKey: string, ticket: Ticket) =>
  ticket.kind === 'token'
    ? mapped(tokens.in(accountKey, ticket.id).get(), ({ value, isUnchanged }) => ({
        isSpent: value !== undefined,
        isUnchanged,
      }))
    : mapped(nonces.in(accountKey).get(), ({ value: [next] = [ticket.first], isUnchanged }) => ({
        isSpent: next !== ticket.nonce,
        isUnchanged,
      }))

const spend = (accountKey: string, ticket: Ticket): Write =>
  ticket.kind === 'nonce'
    ? putNonce(accountKey, ticket.nonce + 1, ticket.until)
    : putToken(accountKey, ticket.id, ticket.until)

/** Spends the ticket and changes the installations; `next` answers undefined where there is no room. */
const change = (
  kv: Kv,
  accountKey: string,
  { ticket, now, isRelief = false }: { ticket: Ticket; now: number; isRelief?: boolean },
  next: (live: Installation[]) => Installation[] | undefined,
): Promise<Granted> =>
  transact<Granted>(kv, now, async () => {
    const [state, found] = await read(kv, [
      ticketState(accountKey, ticket),
      installations.in(accountKey).get(),
    ])
    if (state.isSpent) return { answer: 'used' }
    const after = next(liveAt(found.value, now))
    if (!after) return { answer: 'full' }
    const checks = [state.isUnchanged, found.isUnchanged]
    const writes = [spend(accountKey, ticket), putInstallations(accountKey, after)]
    return { answer: 'done', batch: { partition: accountKey, checks, writes, isRelief } }
  })

const isSame = (a: Pick<Installation, 'name' | 'value'>, b: Pick<Installation, 'name' | 'value'>) =>
  a.name === b.name && a.value === b.value

const restoring = (record: ContactsRecord): Write => {
  const { accountKey } = record
  if (record.kind === 'nonce') return putNonce(accountKey, record.nonce, record.until)
  if (record.kind === 'token') return putToken(accountKey, record.id, record.until)
  return putInstallations(accountKey, record.installations)
}

export const createContactsStore = (kv: Kv, clock: Pick<Clock, 'now'>): ContactsStore => ({
  async installations(accountKey, now) {
    const [{ value }] = await read(kv, [installations.in(accountKey).get()])
    return liveAt(value, now)
  },

  async nonce(accountKey) {
    const [{ value }] = await read(kv, [nonces.in(accountKey).get()])
    return value?.[0]
  },

  grant: (accountKey, ticket, { name, value, expiresAt }, { now, most }) =>
    change(kv, accountKey, { ticket, now }, (live) => {
      const place = live.findIndex((one) => isSame(one, { name, value }))
      const granted = { name, value, expiresAt }
      if (place !== -1) return live.with(place, granted)
      return live.length < most ? [...live, granted] : undefined
    }),

  async revoke(accountKey, ticket, revoked, now) {
    const keep = (live: Installation[]) => live.filter((one) => !isSame(one, revoked))
    return (await change(kv, accountKey, { ticket, now, isRelief: true }, keep)) === 'used' ? 'used' : 'done'
  },

  clear: (accountKey) =>
    transact(kv, clock.now(), async () => {
      const [{ value, isUnchanged }] = await read(kv, [installations.in(accountKey).get()])
      if (!value) return { answer: 0 }
      const writes = [installations.in(accountKey).remove()]
      return { answer: value.length, batch: { partition: accountKey, checks: [isUnchanged], writes } }
    }),

  async restore(records) {
    const batches = records.map((record) => ({ partition: record.accountKey, writes: [restoring(record)] }))
    await kv.commit(batches, clock.now())
  },
})
