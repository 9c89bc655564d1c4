/** What a relay message says, opened with the key of its topic: the notification that its app signed. */
import { ChaCha20Poly1305 } from '@stablelib/chacha20poly1305'
import { fromBase64, fromBase64url, fromHex, fromUtf8 } from '../../protocol/bytes.ts'
import { inLanguage } from '../../protocol/notify/in-language.ts'
import type { WorkerTopic } from './database.ts'
import { isSignedBy } from './signatures.ts'

export interface ShownNotification {
  id: string
  title: string
  body: string
  icon: string
  url: string
  domain: string
  /** Links, and answers that the page signs. */
  actions: readonly { id: string; title: string; url?: string }[]
  /** An https URL, or empty. */
  image: string
  /** It tells of others and is none itself. */
  isDigest?: true
}

const IV_BYTES = 12

/** An envelope of type 0 (`protocol/envelope`, which would bring all other cryptography along). */
const openType0 = (message: string, key: Uint8Array): string | undefined => {
  const bytes = fromBase64(message)
  if (bytes[0] !== 0) return undefined
  const plain = new ChaCha20Poly1305(key).open(bytes.subarray(1, 1 + IV_BYTES), bytes.subarray(1 + IV_BYTES))
  return plain ? fromUtf8(plain) : undefined
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? { ...value } : {}
const text = (value: unknown): string => (typeof value === 'string' ? value : '')

const actionsIn = (value: unknown): ShownNotification['actions'] =>
  (Array.isArray(value) ? value : []).flatMap((one: unknown) => {
    const { id, title, url } = record(one)
    if (text(id) === '' || text(title) === '') return []
    return [{ id: text(id), title: text(title), ...(text(url) !== '' && { url: text(url) }) }]
  })

const localesIn = (value: unknown) =>
  Object.fromEntries(
    Object.entries(record(value)).flatMap(([language, texts]) => {
      const { title, body } = record(texts)
      return text(title) === '' ? [] : [[language, { title: text(title), body: text(body) }]]
    }),
  )

/** The claims of a JWT that this key signed; undefined when it did not. */
const claimsOf = async (token: string, did: string): Promise<Record<string, unknown> | undefined> => {
  const [header = '', payload = '', signature = ''] = token.split('.')
  const isSigned = await isSignedBy(did, `${header}.${payload}`, fromBase64url(signature))
  const claims = record(JSON.parse(fromUtf8(fromBase64url(payload))))
  return isSigned !== false && claims.iss === did && claims.act === 'notify_message' ? claims : undefined
}

/** In the first of the languages that it has. Undefined for a message that is no notification of the topic's app. */
export const openNotification = async (
  message: string,
  known: WorkerTopic,
  languages: readonly string[],
): Promise<ShownNotification | undefined> => {
  try {
    const rpc = record(JSON.parse(openType0(message, fromHex(known.key)) ?? 'null'))
    const claims = await claimsOf(text(record(rpc.params).messageAuth), known.authenticationKey)
    const msg = record(claims?.msg)
    const { id, icon, url, image } = msg
    const texts = { title: text(msg.title), body: text(msg.body), locales: localesIn(msg.locales) }
    const { title, body } = inLanguage(texts, languages)
    if (text(id) === '' || title === '') return undefined
    return {
      ...{ id: text(id), title, body, icon: text(icon), url: text(url) },
      ...{ domain: known.domain, actions: actionsIn(msg.actions), image: text(image) },
      ...(typeof msg.digest === 'object' && { isDigest: true as const }),
    }
  } catch {
    return undefined
  }
}
