/**
 * JSON-RPC 2.0, with ids kept as they are written. Clients send strings of 19 digits and numbers beyond 2^53, which
 * JSON.parse would round; so an id is its raw JSON text (`idText`) everywhere, and is echoed byte for byte.
 */

import { crypto } from '#crypto'
import * as z from '#schema'
import { ProtocolError } from './errors.ts'

/** `idText` is the raw JSON text of the id, quotes included where it is a string. */
export interface RpcRequest {
  kind: 'request'
  idText: string
  method: string
  params: unknown
}
/** A request without an id; nobody waits for an answer. */
export interface RpcNotification {
  kind: 'notification'
  idText: undefined
  method: string
  params: unknown
}
export interface RpcResult {
  kind: 'result'
  idText: string
  result: unknown
}
/** `idText` is `null` when the peer could not tell which request it was. */
export interface RpcFailure {
  kind: 'failure'
  idText: string
  code: number
  message: string
}
export type RpcMessage = RpcRequest | RpcNotification | RpcResult | RpcFailure

// Ids are stored with requests that wait; nobody needs long ones.
const MAX_ID_LENGTH = 256

// ── finding the id ──────────────────────────────────────────────────────────────────────────────────────────────────
// Small scanners over text that JSON.parse has accepted, so they need not look for mistakes. Iterative: nesting costs
// no stack.

const QUOTE = 0x22
const BACKSLASH = 0x5c
const isSpace = (code: number): boolean => code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09

const skipSpace = (text: string, at: number): number => {
  while (isSpace(text.charCodeAt(at))) at++
  return at
}

/** `at` is an opening quote; answers the position behind the closing one. */
const skipString = (text: string, at: number): number => {
  for (let end = text.indexOf('"', at + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end + 1
  }
  return text.length
}

/** `at` is the first character of a value; answers the position behind it. */
const skipValue = (text: string, at: number): number => {
  let depth = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = skipString(text, at)
      if (depth === 0) return at
    } else if (code === 0x7b || code === 0x5b) {
      depth++
      at++
    } else if (code === 0x7d || code === 0x5d) {
      if (depth === 0) return at
      at++
      if (--depth === 0) return at
    } else if (depth === 0 && (code === 0x2c || isSpace(code))) return at
    else at++
  }
  return at
}

const isIdKey = (raw: string): boolean =>
  raw === '"id"' || (raw.includes('\\') && raw.length <= 14 && JSON.parse(raw) === 'id')

/** Raw text of the last member `id` of an object; `text` is valid JSON and starts, after spaces, with a brace. */
const rawId = (text: string): string | undefined => {
  let id: string | undefined
  let at = skipSpace(text, 0) + 1
  for (;;) {
    at = skipSpace(text, at)
    if (text.charCodeAt(at) !== QUOTE) return id
    const keyEnd = skipString(text, at)
    const key = text.slice(at, keyEnd)
    // Behind the key: spaces, a colon, spaces.
    const start = skipSpace(text, skipSpace(text, keyEnd) + 1)
    const end = skipValue(text, start)
    if (isIdKey(key)) id = text.slice(start, end)
    // Behind the value: spaces, then a comma or the closing brace.
    at = skipSpace(text, end) + 1
  }
}

// ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const messageSchema = z.object({
  jsonrpc: z.literal('2.0'),
  id: z.union([z.string(), z.number(), z.null()]).optional(),
  method: z.string().optional(),
  params: z.unknown().optional(),
  result: z.unknown().optional(),
  error: z.object({ code: z.number(), message: z.string() }).nullish(),
})

/** What can be answered: a message with an id. */
const answerableSchema = z.object({ id: z.union([z.string(), z.number()]) })

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('bad_json', undefined, { cause })
  }
}

/** The id of whatever this is, for the answer to a message that `parseRpc` refused; undefined when there is none. */
export const idTextOf = (text: string): string | undefined => {
  try {
    const id = answerableSchema.safeParse(JSON.parse(text))
    const raw = id.success ? rawId(text) : undefined
    return raw !== undefined && raw.length <= MAX_ID_LENGTH ? raw : undefined
  } catch {
    return undefined
  }
}

/**
 * Throws `bad_json` for what is not JSON, `bad_request` for JSON that is not one JSON-RPC message. Batches are not
 * taken.
 */
export const parseRpc = (text: string): RpcMessage => {
  const value = parseJson(text)
  const parsed = messageSchema.safeParse(value)
  if (!parsed.success) throw new ProtocolError('bad_request')
  const { method, params, error, result, id } = parsed.data
  const idText = id === undefined ? undefined : rawId(text)
  if (idText !== undefined && idText.length > MAX_ID_LENGTH) {
    throw new ProtocolError('bad_request', 'its id is too long')
  }
  if (method !== undefined) {
    if (idText === undefined) return { kind: 'notification', idText, method, params }
    return { kind: 'request', idText, method, params }
  }
  if (idText === undefined) throw new ProtocolError('bad_request', 'it has neither a method nor an id')
  if (error) return { kind: 'failure', idText, code: error.code, message: error.message }
  if (result === undefined) throw new ProtocolError('bad_request', 'it has neither a method nor a result')
  return { kind: 'result', idText, result }
}

/**
 * The raw texts of a batch's members, not yet looked at; undefined for JSON that is no batch. Throws `bad_json`.
 */
export const batchOf = (text: string): string[] | undefined => {
  if (!Array.isArray(parseJson(text))) return undefined
  const members: string[] = []
  let at = skipSpace(text, skipSpace(text, 0) + 1)
  while (text.charCodeAt(at) !== 0x5d) {
    const end = skipValue(text, at)
    members.push(text.slice(at, end))
    // Behind the value: spaces, then a comma or the closing bracket.
    at = skipSpace(text, end)
    if (text.charCodeAt(at) === 0x2c) at = skipSpace(text, at + 1)
  }
  return members
}

// ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

/** `id` is a number, or raw JSON text. */
export const rpcRequest = (id: number | string, method: string, params: unknown): string =>
  `{"id":${id},"jsonrpc":"2.0","method":${JSON.stringify(method)},"params":${JSON.stringify(params) ?? 'null'}}`

export const rpcResult = (idText: string, result: unknown): string =>
  `{"id":${idText},"jsonrpc":"2.0","result":${JSON.stringify(result) ?? 'null'}}`

export const rpcFailure = (idText: string | null, code: number, message: string): string =>
  `{"id":${idText ?? 'null'},"jsonrpc":"2.0","error":${JSON.stringify({ code, message })}}`

/**
 * An id of 16 digits as published clients make them: microseconds, of which the last three digits are random. Two of
 * the same millisecond are equal once in a thousand times; who makes many uses `payloadIds`.
 */
export const payloadId = (
  nowMs: number,
  randomBytes: (length: number) => Uint8Array = crypto.randomBytes,
): number => {
  const [high = 0, low = 0] = randomBytes(2)
  return Math.floor(nowMs) * 1000 + (((high << 8) | low) % 1000)
}

/** Makes ids as `payloadId` does, each greater than the one before. */
export const payloadIds = (
  now: () => number,
  randomBytes: (length: number) => Uint8Array = crypto.randomBytes,
): (() => number) => {
  let last = 0
  return () => {
    last = Math.max(last + 1, payloadId(now(), randomBytes))
    return last
  }
}
