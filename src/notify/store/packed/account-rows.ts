/**
 * The row of an account: all that a commit of it looks at.
 *
 *     version 8 · due 8 · requests in pages until 8 · number of requests 1 · requests · record
 *     request    its digest 16 · of its token 16, zeros for none · expiresAt 8
 *
 * `due` is where the account stands in the list of what expires, which may be too early: an account that is renewed stays
 * where it is, and whoever finds it there moves it. Requests that are too many for the row go to a page, all at once.
 */
import { createHash } from 'node:crypto'
import { type Codec, textBehind } from '../../../storage/codec.ts'
import type { AccountRecord, Subscription, Watcher } from '../records.ts'
import { isSame } from './ids.ts'

const DIGEST_BYTES = 16
const MAX_ROW_REQUESTS = 16
const NUMBER_BYTES = 8
const REQUEST_BYTES = 2 * DIGEST_BYTES + NUMBER_BYTES
const COUNT_AT = 3 * NUMBER_BYTES
export const NO_TOKEN = Buffer.alloc(DIGEST_BYTES)

const DIGEST = /^[0-9a-f]{64}$/
/** A name that is a digest itself is cut. */
export const digestOf = (name: string): Buffer =>
  DIGEST.test(name)
    ? Buffer.from(name.slice(0, 2 * DIGEST_BYTES), 'hex')
    : createHash('sha256').update(name).digest().subarray(0, DIGEST_BYTES)

export interface AccountRow {
  version: number
  due: number
  pagedUntil: number
  /** Packed. */
  requests: Buffer
  record: AccountRecord
}
/** The record is read when it is asked for: whoever commits has read it before. */
export type KeptAccountRow = Omit<AccountRow, 'record'> & { readonly record: AccountRecord }

type SubscriptionItem = [string, string, string[], string, string, number, number, string]
type WatcherItem = [string, string | null, string, string, string, number, string?]

/** Lists instead of objects: names of properties would be a quarter of it, and take as long to read. */
const recordText = ({ subscriptions, watchers }: AccountRecord): string =>
  JSON.stringify([
    subscriptions.map(
      ({ id, domain, scope, key, topic, createdAt, expiresAt, account }): SubscriptionItem => [
        ...([id, domain, scope, key, topic, createdAt, expiresAt, account] as const),
      ],
    ),
    watchers.map(
      ({ identityKey, domain, account, key, topic, expiresAt, serverKey }): WatcherItem =>
        serverKey === undefined
          ? [identityKey, domain, account, key, topic, expiresAt]
          : [identityKey, domain, account, key, topic, expiresAt, serverKey],
    ),
  ])

const recordOf = (text: string): AccountRecord => {
  const [subscriptions, watchers]: [SubscriptionItem[], WatcherItem[]] = JSON.parse(text)
  return {
    subscriptions: subscriptions.map(
      ([id, domain, scope, key, topic, createdAt, expiresAt, account]): Subscription => ({
        ...{ id, domain, scope, key, topic, createdAt, expiresAt, account },
      }),
    ),
    watchers: watchers.map(
      ([identityKey, domain, account, key, topic, expiresAt, serverKey]): Watcher => ({
        ...{ identityKey, domain, account, key, topic, expiresAt },
        ...(serverKey !== undefined && { serverKey }),
      }),
    ),
  }
}

class KeptRow implements KeptAccountRow {
  readonly #bytes: Buffer
  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  get version() {
    return this.#bytes.readDoubleBE(0)
  }
  get due() {
    return this.#bytes.readDoubleBE(NUMBER_BYTES)
  }
  get pagedUntil() {
    return this.#bytes.readDoubleBE(2 * NUMBER_BYTES)
  }
  get #recordAt() {
    return COUNT_AT + 1 + (this.#bytes[COUNT_AT] ?? 0) * REQUEST_BYTES
  }
  get requests() {
    return this.#bytes.subarray(COUNT_AT + 1, this.#recordAt)
  }
  get record() {
    return recordOf(this.#bytes.toString('utf8', this.#recordAt))
  }
}

export const ACCOUNT: Codec<KeptAccountRow> = {
  encodeBehind(free, { version, due, pagedUntil, requests, record }) {
    const bytes = textBehind(free + COUNT_AT + 1 + requests.length, recordText(record))
    bytes.writeDoubleBE(version, free)
    bytes.writeDoubleBE(due, free + NUMBER_BYTES)
    bytes.writeDoubleBE(pagedUntil, free + 2 * NUMBER_BYTES)
    bytes[free + COUNT_AT] = requests.length / REQUEST_BYTES
    bytes.set(requests, free + COUNT_AT + 1)
    return bytes
  },
  decode: (bytes) => new KeptRow(bytes),
}

/** Whether a request, or its token, is among them. One that has expired counts until it is forgotten. */
export const knownIn = (requests: Buffer, id: Buffer, token: Buffer): 'repeated' | 'used' | undefined => {
  let known: 'used' | undefined
  for (let at = 0; at < requests.length; at += REQUEST_BYTES) {
    if (isSame(requests, at, id)) return 'repeated'
    if (token !== NO_TOKEN && isSame(requests, at + DIGEST_BYTES, token)) known = 'used'
  }
  return known
}

/** Whether one of them has this name, as a request or as a token. */
export const isNamedIn = (requests: Buffer, name: Buffer, now: number): boolean => {
  for (let at = 0; at < requests.length; at += REQUEST_BYTES) {
    if (requests.readDoubleBE(at + 2 * DIGEST_BYTES) <= now) continue
    if (isSame(requests, at, name) || isSame(requests, at + DIGEST_BYTES, name)) return true
  }
  return false
}

/** Without those that have expired, and when the last one expires; 0 for none. */
export const liveRequests = (requests: Buffer, now: number): { live: Buffer; until: number } => {
  let [until, soonest] = [0, Number.POSITIVE_INFINITY]
  for (let at = 0; at < requests.length; at += REQUEST_BYTES) {
    const expiresAt = requests.readDoubleBE(at + 2 * DIGEST_BYTES)
    until = Math.max(until, expiresAt)
    soonest = Math.min(soonest, expiresAt)
  }
  if (soonest > now) return { live: requests, until }
  const live: Buffer[] = []
  for (let at = 0; at < requests.length; at += REQUEST_BYTES)
    if (requests.readDoubleBE(at + 2 * DIGEST_BYTES) > now)
      live.push(requests.subarray(at, at + REQUEST_BYTES))
  return { live: Buffer.concat(live), until }
}

export const isFullOf = (requests: Buffer): boolean => requests.length >= MAX_ROW_REQUESTS * REQUEST_BYTES

export const withRequest = (requests: Buffer, id: Buffer, token: Buffer, expiresAt: number): Buffer => {
  const next = Buffer.allocUnsafe(requests.length + REQUEST_BYTES)
  next.set(requests, 0)
  next.set(id, requests.length)
  next.set(token, requests.length + DIGEST_BYTES)
  next.writeDoubleBE(expiresAt, requests.length + 2 * DIGEST_BYTES)
  return next
}
