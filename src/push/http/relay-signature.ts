/**
 * Whether a relay that the operator trusts has signed a request: Ed25519 over `timestamp.length.body`, with the key that the relay
 * shows at `GET /public-key`. A key is read when it is first needed, and again when a signature does not fit it, once a minute.
 */
import { crypto } from '#crypto'
import type { PublicFetch } from '../../platform/net/public-fetch.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { MINUTE_MS } from '../../platform/units.ts'
import { concat, fromHex, utf8 } from '../../protocol/bytes.ts'

const KEY_TIMEOUT_MS = 5_000
const MAX_KEY_BYTES = 1_024
const KEY_AGAIN_AFTER_MS = MINUTE_MS
/** How old a signature may be, and how far clocks may differ. */
const MAX_AGE_MS = 10 * MINUTE_MS

export type SignatureCheck = (signed: {
  signature: string | undefined
  timestamp: string | undefined
  body: Uint8Array
}) => Promise<boolean>

const HEX_KEY = /^[0-9a-f]{64}$/i

const bytesOf = (hex: string): Uint8Array | undefined => {
  try {
    return fromHex(hex)
  } catch {
    return undefined
  }
}

/** Timestamps of relays are seconds; some write milliseconds. */
const isFresh = (timestamp: string, now: number): boolean => {
  const said = Number(timestamp)
  if (!Number.isFinite(said)) return false
  const at = said > 1e11 ? said : said * 1000
  return Math.abs(now - at) <= MAX_AGE_MS
}

/** `relays`: URLs of relays, or their keys in hex. `own`: the key of the relay of this house. */
export const createSignatureCheck = (
  { fetch, clock, log }: { fetch: PublicFetch; clock: Clock; log: Log },
  { relays, own }: { relays: readonly string[]; own: Uint8Array | undefined },
): SignatureCheck => {
  const fixed = [...(own ? [own] : []), ...relays.filter((one) => HEX_KEY.test(one)).map(fromHex)]
  const urls = relays.filter((one) => !HEX_KEY.test(one))
  const known = new Map<string, { key: Uint8Array | undefined; readAt: number }>()

  const readKey = async (url: string): Promise<Uint8Array | undefined> => {
    const readAt = clock.now()
    const before = known.get(url)
    if (before && before.readAt + KEY_AGAIN_AFTER_MS > readAt) return before.key
    known.set(url, { key: before?.key, readAt })
    try {
      const answer = await fetch(`${url}/public-key`, { milliseconds: KEY_TIMEOUT_MS, bytes: MAX_KEY_BYTES })
      const text = answer.body.trim()
      if (answer.status === 200 && HEX_KEY.test(text)) known.set(url, { key: fromHex(text), readAt })
      else log.warn({ url, status: answer.status }, 'A relay shows no public key')
    } catch (err) {
      log.warn({ err, url }, 'The public key of a relay could not be read')
    }
    return known.get(url)?.key
  }

  return async ({ signature, timestamp, body }) => {
    const proof = signature === undefined ? undefined : bytesOf(signature)
    if (!proof || timestamp === undefined || !isFresh(timestamp, clock.now())) return false
    const text = concat(utf8(`${timestamp}.${body.length}.`), body)
    const isBy = (key: Uint8Array | undefined) => key !== undefined && crypto.ed25519Verify(proof, text, key)
    if (fixed.some(isBy)) return true
    if (urls.some((url) => isBy(known.get(url)?.key))) return true
    for (const url of urls) if (isBy(await readKey(url))) return true
    return false
  }
}
