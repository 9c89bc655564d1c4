/**
 * What replicas publish to each other, in type-0 envelopes on the topic of the store. No message has an answer.
 *
 * | method | tag | params |
 * |---|---|---|
 * | wc_syncSet | 5000 | `{key, value}` |
 * | wc_syncDel | 5002 | `{key}` |
 */
import * as z from 'zod'
import { openEnvelope, parseEnvelope, sealType0 } from '../protocol/envelope.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { rpcRequest } from '../protocol/jsonrpc.ts'
import { LIMITS } from '../protocol/relay-methods.ts'
import type { SyncRecord } from './state.ts'

export const SYNC_TAGS = { set: 5000, delete: 5002 }
/** As published clients have it. */
export const SYNC_TTL_S = 2_592_000

/** Microseconds of the year 2255. Above it is room for the ids of records that must be later than those that were read. */
const MAX_RECORD_ID = 9_000_000_000_000_000

const id = z.int().positive().max(MAX_RECORD_ID)
const request = z.discriminatedUnion('method', [
  z.object({ id, method: z.literal('wc_syncSet'), params: z.object({ key: z.string(), value: z.string() }) }),
  z.object({ id, method: z.literal('wc_syncDel'), params: z.object({ key: z.string() }) }),
])

/** Throws `too_large` for a message that no relay takes. */
export const sealRecord = (
  key: Uint8Array,
  name: string,
  { id, value }: SyncRecord,
  randomBytes: (length: number) => Uint8Array,
): { message: string; tag: number } => {
  const plaintext =
    value === null
      ? rpcRequest(id, 'wc_syncDel', { key: name })
      : rpcRequest(id, 'wc_syncSet', { key: name, value })
  const message = sealType0({ key, plaintext, iv: randomBytes(12) })
  if (message.length > LIMITS.messageBytes)
    throw new ProtocolError('too_large', `at most ${LIMITS.messageBytes} bytes, encrypted`)
  return { message, tag: value === null ? SYNC_TAGS.delete : SYNC_TAGS.set }
}

/** Undefined for what is no record: another key, another method, something broken. */
export const openRecord = (
  message: string,
  key: Uint8Array,
): { key: string; record: SyncRecord } | undefined => {
  try {
    const envelope = parseEnvelope(message)
    if (envelope.type !== 0) return undefined
    const parsed = request.safeParse(JSON.parse(openEnvelope(envelope, key)))
    if (!parsed.success) return undefined
    const { id, method, params } = parsed.data
    return { key: params.key, record: { id, value: method === 'wc_syncSet' ? params.value : null } }
  } catch {
    return undefined
  }
}
