/** Messages that did not fit into a push, fetched from the relay. They stay in the mailbox: the wallet gets them when it opens. */
import { crypto } from '#crypto'
import { base58 } from '@scure/base'
import { concat, fromHex, toBase64url, toHex, utf8 } from '../../protocol/bytes.ts'
import type { WorkerRelay } from './database.ts'

const TOKEN_LIFE_S = 300

/** The token by which a relay client says who it is. */
const tokenFor = ({ url, clientSeed }: WorkerRelay): string => {
  const seed = fromHex(clientSeed)
  const point = concat(Uint8Array.of(0xed, 0x01), crypto.ed25519PublicKey(seed))
  const iat = Math.floor(Date.now() / 1000)
  const claims = {
    iss: `did:key:z${base58.encode(point)}`,
    sub: toHex(crypto.randomBytes(32)),
    ...{ aud: url, iat, exp: iat + TOKEN_LIFE_S },
  }
  const part = (value: object) => toBase64url(utf8(JSON.stringify(value)))
  const signed = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part(claims)}`
  return `${signed}.${toBase64url(crypto.ed25519Sign(utf8(signed), seed))}`
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
  const query = new URLSearchParams({ auth: tokenFor(relay), ...(relay.projectId && { projectId: relay.projectId }) })
  const answer = await fetch(`${relay.url}/rpc?${query}`, {
    method: 'POST',
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
  return messages.flatMap((one: { topic?: unknown; message?: unknown }) =>
    typeof one.topic === 'string' && typeof one.message === 'string'
      ? [{ topic: one.topic, message: one.message, id: toHex(crypto.sha256(utf8(one.message))) }]
      : [],
  )
}
