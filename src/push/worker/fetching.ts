/** Messages that did not fit into a push, fetched from the relay. They stay in the mailbox: the wallet gets them when it opens. */
import { toBase64url, toHex, utf8 } from '../../protocol/bytes.ts'
import type { WorkerRelay } from './database.ts'
import { sha256Hex, signerOf } from './signatures.ts'

const TOKEN_LIFE_S = 300
/** Browsers end a worker that shows nothing for half a minute. */
const FETCH_TIMEOUT_MS = 10_000

/** The token by which a relay client says who it is. */
const tokenFor = async ({ url, clientSeed }: WorkerRelay): Promise<string> => {
  const { did, sign } = await signerOf(clientSeed)
  const iat = Math.floor(Date.now() / 1000)
  const sub = toHex(crypto.getRandomValues(new Uint8Array(32)))
  const claims = { iss: did, sub, aud: url, iat, exp: iat + TOKEN_LIFE_S }
  const part = (value: object) => toBase64url(utf8(JSON.stringify(value)))
  const signed = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${toBase64url(await sign(signed))}`
}

export interface FetchedMessage {
  topic: string
  message: string
  id: string
}

/** What waits on these topics. Rejects when the relay cannot be asked. */
export const fetchMessages = async (
  relay: WorkerRelay,
  topics: readonly string[],
): Promise<FetchedMessage[]> => {
  const query = new URLSearchParams({
    auth: await tokenFor(relay),
    ...(relay.projectId && { projectId: relay.projectId }),
  })
  const answer = await fetch(`${relay.url}/rpc?${query}`, {
    method: 'POST',
    signal: AbortSignal.timeout(FETCH_TIMEOUT_MS),
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      id: Date.now(),
      jsonrpc: '2.0',
      method: 'irn_batchFetchMessages',
      params: { topics, keep: true },
    }),
  })
  const said = await answer.json()
  const messages: unknown = said?.result?.messages
  if (!Array.isArray(messages)) throw new Error('The relay gave no messages')
  const texts = messages.flatMap((one: { topic?: unknown; message?: unknown }) =>
    typeof one.topic === 'string' && typeof one.message === 'string'
      ? [{ topic: one.topic, message: one.message }]
      : [],
  )
  return Promise.all(texts.map(async (one) => ({ ...one, id: await sha256Hex(one.message) })))
}
