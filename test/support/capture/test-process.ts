/** In every process that runs tests: its keys become known, and what servers answer with errors is written down. */
import { crypto } from '#crypto'
import { secretListener } from '../secret-listener.ts'
import { capture, isCapturing, knownSecret, watchCrypto } from './record.mjs'

secretListener.tell = knownSecret

/** A test may have gigabytes answered. */
const LONGEST = 65_536

const beginningOf = async (response: Response): Promise<string> => {
  const bytes: Uint8Array[] = []
  let length = 0
  const reader = response.body?.getReader()
  while (reader && length < LONGEST) {
    const { done, value } = await reader.read()
    if (done) break
    bytes.push(value)
    length += value.length
  }
  void reader?.cancel().catch(() => {})
  return Buffer.concat(bytes).toString('utf8')
}

const BEARER = /^Bearer (\S+)$/
const ours = globalThis.fetch

const listening: typeof fetch = async (input, init) => {
  const response = await ours(input, init)
  const token = BEARER.exec(new Headers(init?.headers).get('authorization') ?? '')?.[1]
  if (response.ok) knownSecret('token', token)
  const { pathname } = new URL(response.url)
  const what = pathname === '/metrics' ? 'metrics' : response.status >= 400 ? 'errors' : undefined
  if (what) {
    // Nobody waits for it: an answer need not have an end.
    void beginningOf(response.clone()).then(
      (text) => capture(what, text),
      () => {},
    )
  }
  return response
}

if (isCapturing) {
  watchCrypto(crypto)
  globalThis.fetch = listening
}
