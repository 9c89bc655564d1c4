/** Requests of an account that were carried out: in its row, and in pages behind it where they are too many. */
import type { Write } from '../../../storage/kv.ts'
import { ask, read } from '../../../storage/table.ts'
import {
  digestOf,
  isFullOf,
  isNamedIn,
  type KeptAccountRow,
  knownIn,
  liveRequests,
  NO_TOKEN,
  withRequest,
} from '../packed/account-rows.ts'
import type { RequestId } from '../records.ts'
import type { NotifyStore } from '../store.ts'
import { placeBytes, type Steps, type VerbDeps } from './deps.ts'
import { ACCOUNTS, partitionOf, requestOwner, requestPages } from './tables.ts'

export interface AskedRequest {
  /** As callers name them: the request, its token. */
  names: string[]
  id: Buffer
  token: Buffer
  at: number
  expiresAt: number
}

export const askedOf = ({ id, token, at = 0, expiresAt }: RequestId): AskedRequest => ({
  names: token === undefined ? [id] : [id, token],
  id: digestOf(id),
  token: token === undefined ? NO_TOKEN : digestOf(token),
  ...{ at, expiresAt },
})

const NO_REQUESTS = Buffer.alloc(0)
/** Of each account, of 16 requests each: it may ask so many in a day. */
const MAX_PAGES = 1_000

type Remembering = Pick<KeptAccountRow, 'requests' | 'pagedUntil'>
export const requestsOf = (row: Remembering | undefined): Remembering =>
  row ? { requests: row.requests, pagedUntil: row.pagedUntil } : { requests: NO_REQUESTS, pagedUntil: 0 }

/** Whether the request came before, or its token in another one. */
export function* knownRequest(
  partition: string,
  accountKey: string,
  { requests, pagedUntil }: Remembering,
  { id, token }: AskedRequest,
): Steps<'repeated' | 'used' | undefined> {
  let known = knownIn(requests, id, token)
  if (known || pagedUntil === 0) return known
  const [pages] = yield* ask([requestPages(partition, accountKey).range({ limit: MAX_PAGES })])
  for (const { value } of pages) known ??= knownIn(value, id, token)
  return known
}

/** What an account remembers with this one, and the page of those that are too many. */
export const rememberedWith = (
  partition: string,
  accountKey: string,
  { requests, pagedUntil }: Remembering,
  { names, id, token, at, expiresAt }: AskedRequest,
): Remembering & { writes: Write[]; hints: Write[] } => {
  const hints = names.map((one) => requestOwner(one).put({ value: [accountKey, expiresAt], expiresAt }))
  const { live, until } = liveRequests(requests, at)
  if (!isFullOf(live))
    return { requests: withRequest(live, id, token, expiresAt), pagedUntil, writes: [], hints }
  const key = Buffer.concat([placeBytes(until), id])
  const page = requestPages(partition, accountKey).put({ key, value: live, expiresAt: until })
  const next = { requests: withRequest(NO_REQUESTS, id, token, expiresAt), writes: [page], hints }
  return { ...next, pagedUntil: Math.max(pagedUntil, until) }
}

export const createWasCommitted = ({ kv }: Pick<VerbDeps, 'kv'>): Pick<NotifyStore, 'wasCommitted'> => ({
  async wasCommitted(requestId, now) {
    const [{ value: owner }] = await read(kv, [requestOwner(requestId).get()])
    if (!owner || owner[1] <= now) return false
    const [accountKey] = owner
    // It came with a backup, which does not say whose it was.
    if (accountKey === '') return true
    return isCommitted(kv, accountKey, requestId, now)
  },
})

/** Whether the account remembers the request, or the token. */
export const isCommitted = async (
  kv: Pick<VerbDeps['kv'], 'read'>,
  accountKey: string,
  requestId: string,
  now: number,
): Promise<boolean> => {
  const partition = partitionOf(accountKey)
  const [{ value: row }] = await read(kv, [ACCOUNTS.in(partition, accountKey).get()])
  const digest = digestOf(requestId)
  if (!row) return false
  if (isNamedIn(row.requests, digest, now)) return true
  if (row.pagedUntil <= now) return false
  const [pages] = await read(kv, [requestPages(partition, accountKey).range({ limit: MAX_PAGES })])
  return pages.some(({ value }) => isNamedIn(value, digest, now))
}
