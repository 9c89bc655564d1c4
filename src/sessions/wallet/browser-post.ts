/**
 * The `post` of a wallet in a browser. A browser does not say what a name leads to and keeps pages out of private networks
 * by rules of its own; what the URL itself says is refused here: plain http, addresses instead of names, names of this
 * machine and of local networks, unless their host is allowed.
 */
import { readText } from '../../platform/net/fetch-json.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { WiapPost } from '../methods/wiap.ts'

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

/**
 * How a wallet in a browser posts to operators: over https, to public names.
 *
 * @param options `fetch`, and hosts that may be private
 * @returns the `post` of `dataApproval`
 */
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
      const isTooLong = cause instanceof ProtocolError && cause.code === 'too_large'
      const sentence = isTooLong ? 'the answer is too long' : 'it could not be asked'
      throw new ProtocolError('unavailable', sentence, { cause })
    }
  }
