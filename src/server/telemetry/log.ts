/**
 * The log: one JSON object a line, on stderr. What it guarantees: no key, token, envelope, query or Authorization header
 * gets into it, whoever logs what. Rooms take care themselves; this is the second lock.
 *
 * Hidden are fields by their name, and by its look whatever stands in a text: JWTs, bearer tokens, queries of URLs, long
 * base64. Topics, message ids and client ids (hex, did:key) are shown; they are what one searches a log for.
 */
import { pino } from 'pino'
import type { Log } from '../../platform/telemetry.ts'

/** A field is hidden for the last word of its name: `symKey`, `BELFRY_SECRET`, `idAuth`, `messages`. */
const HIDDEN_WORDS = new Set(
  (
    'auth authorization body cacao cookie header jwt key message param password plaintext proof query sealed ' +
    'secret seed signature statement title token'
  ).split(' '),
)
/** … unless it is a key that everybody may know. */
const PUBLIC_KEYS = new Set('account authentication identity invite public subscribe'.split(' '))

const isHidden = (name: string): boolean => {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
  const last = words.pop()?.replace(/s$/, '') ?? ''
  if (last === 'key' && PUBLIC_KEYS.has(words.at(-1) ?? '')) return false
  return HIDDEN_WORDS.has(last)
}

const HIDDEN = '[hidden]'

const LOOKS: readonly [RegExp, string][] = [
  [/\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, '[jwt]'],
  [/\b(bearer)\s+[\x21-\x7e]+/gi, `$1 ${HIDDEN}`],
  // A query, wherever it stands: what identifies a place is before it.
  [/\?[\w.~%-]+=[^\s"']*/g, '?[query]'],
  [/(?<![\w+/-])(?=[\w+/-]*[G-Zg-z+/])(?:[A-Za-z0-9+/]{60,}|[\w-]{60,})={0,2}(?![\w+/-])/g, '[long]'],
]

const MAX_TEXT_LENGTH = 2_000
const MAX_DEPTH = 5
const MAX_MEMBERS = 50

const cleanText = (text: string): string =>
  LOOKS.reduce((clean, [look, instead]) => clean.replace(look, instead), text.slice(0, MAX_TEXT_LENGTH))

const cleanError = (error: Error, depth: number): Record<string, unknown> => ({
  type: error.name,
  message: cleanText(error.message),
  ...('code' in error && { code: clean(error.code, depth) }),
  stack: cleanText(error.stack ?? ''),
  ...(error.cause !== undefined && { cause: clean(error.cause, depth) }),
})

const clean = (value: unknown, depth = 0): unknown => {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return '[…]'
  if (value instanceof Error) return cleanError(value, depth + 1)
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`
  if (Array.isArray(value)) return value.slice(0, MAX_MEMBERS).map((item) => clean(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MAX_MEMBERS)
      .map(([name, item]) => [name, cleanField(name, item, depth + 1)]),
  )
}

/** Numbers and yes or no tell nobody's secret: `messages: 3`. */
const cleanField = (name: string, value: unknown, depth: number): unknown => {
  const tells = (typeof value === 'object' && value !== null) || typeof value === 'string'
  return tells && isHidden(name) ? HIDDEN : clean(value, depth)
}

/** What of these fields may be seen. */
export const redacted = (fields: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, cleanField(name, value, 0)]))

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Lines that wait for room on the disk of a log file. */
const MAX_WAITING_BYTES = 1_048_576

/**
 * stderr may be a file on a disk that is full. What is logged then waits for the next line, or is left out; the work that it
 * tells of goes on.
 */
const stderr = () => {
  const destination = pino.destination({ dest: 2, sync: true, maxLength: MAX_WAITING_BYTES })
  return destination.on('error', () => {})
}

/** `write` gets whole lines; default stderr, written at once so that the last words of a process are not lost. */
export const createLog = (level: LogLevel, write?: (line: string) => void): Log => {
  const logger = pino(
    {
      level,
      base: { service: 'belfry' },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      // Pino would take what is left of an error for one.
      serializers: { err: (err) => err },
    },
    write ? { write } : stderr(),
  )
  const line =
    (at: 'debug' | 'info' | 'warn' | 'error') =>
    (fields: Record<string, unknown>, sentence: string): void => {
      if (logger.isLevelEnabled(at)) logger[at](redacted(fields), cleanText(sentence))
    }
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}
