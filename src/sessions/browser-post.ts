/**
 * The `post` of a wallet in a browser. A browser does not say what a name leads to and keeps pages out of private networks
 * by rules of its own; what the URL itself says is refused here: plain http, addresses instead of names, names of this
 * machine and of local networks, unless their host is allowed.
 */
import { fromUtf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import type { WiapPost } from './wiap.ts'

export interface BrowserPostOptions {
  fetch?: typeof globalThis.fetch
  /** Hosts (with port where there is one) that may be private and plain http. */
  allowed?: readonly string[]
}

const LOCAL = /(^|\.)(localhost|local|internal|lan|home|intranet|arpa)$|^[^.]*$/
const ADDRESS = /^\[|^[\d.]+$/

const refusal = (url: URL): string | undefined => {
  if (url.protocol !== 'https:') return 'it is not https'
  const host = url.hostname.replace(/\.$/, '')
  return ADDRESS.test(host) || LOCAL.test(host) ? 'its address is not a public one' : undefined
}

const readText = async (response: Response, most: number): Promise<string> => {
  const chunks: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (;;) {
    const { done, value } = (await reader?.read()) ?? { done: true, value: undefined }
    if (done || !value) break
    length += value.length
    if (length > most) {
      await reader?.cancel()
      throw new ProtocolError('unavailable', 'the answer is too long')
    }
    chunks.push(value)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return fromUtf8(whole)
}

export const browserPost =
  ({ fetch = globalThis.fetch.bind(globalThis), allowed = [] }: BrowserPostOptions = {}): WiapPost =>
  async (text, { headers, body, milliseconds, bytes }) => {
    if (!URL.canParse(text)) throw new ProtocolError('bad_params', 'it is not a URL')
    const url = new URL(text)
    const why = allowed.includes(url.host) ? undefined : refusal(url)
    if (why !== undefined) throw new ProtocolError('forbidden', why)
    try {
      const response = await fetch(url.href, {
        method: 'POST',
        headers,
        body,
        // Its cookies are nobody's business here, and a redirect would lead past the check above.
        credentials: 'omit',
        redirect: 'error',
        referrerPolicy: 'no-referrer',
        signal: AbortSignal.timeout(milliseconds),
      })
      return { status: response.status, body: await readText(response, bytes) }
    } catch (cause) {
      if (cause instanceof ProtocolError) throw cause
      throw new ProtocolError('unavailable', 'it could not be asked', { cause })
    }
  }
