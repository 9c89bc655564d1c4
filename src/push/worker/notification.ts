/** What a relay message says, opened with the key of its topic: the notification that its app signed. */
import { crypto } from '#crypto'
import { base58 } from '@scure/base'
import { fromBase64url, fromHex, fromUtf8, utf8 } from '../../protocol/bytes.ts'
import { openEnvelope, parseEnvelope } from '../../protocol/envelope.ts'
import type { WorkerTopic } from './database.ts'

export interface ShownNotification {
  id: string
  title: string
  body: string
  icon: string
  url: string
  domain: string
}

const DID_PREFIX = 'did:key:z'
const ED25519_PREFIX_BYTES = 2

const keyOf = (did: string): Uint8Array => base58.decode(did.slice(DID_PREFIX.length)).subarray(ED25519_PREFIX_BYTES)

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {}
const text = (value: unknown): string => (typeof value === 'string' ? value : '')

/** The claims of a JWT that this key signed; undefined when it did not. */
const claimsOf = (token: string, did: string): Record<string, unknown> | undefined => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const isSigned = crypto.ed25519Verify(fromBase64url(signature), utf8(`${header}.${payload}`), keyOf(did))
  const claims = record(JSON.parse(fromUtf8(fromBase64url(payload))))
  return isSigned && claims.iss === did && claims.act === 'notify_message' ? claims : undefined
}

/** Undefined for a message that is no notification of the topic's app. */
export const openNotification = (message: string, known: WorkerTopic): ShownNotification | undefined => {
  try {
    const rpc = record(JSON.parse(openEnvelope(parseEnvelope(message), fromHex(known.key))))
    const claims = claimsOf(text(record(rpc.params).messageAuth), known.authenticationKey)
    const { id, title, body, icon, url } = record(claims?.msg)
    if (text(id) === '' || text(title) === '') return undefined
    return {
      ...{ id: text(id), title: text(title), body: text(body), icon: text(icon), url: text(url) },
      domain: known.domain,
    }
  } catch {
    return undefined
  }
}
