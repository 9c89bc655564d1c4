/**
 * Links that open a session in a wallet:
 *
 *     cmts://connect/carmentis-relay?relay=<url>&sessionId=<id>&symKey=<key>     a session relay (Socket.IO)
 *     cmts://connect/belfry-relay?relay=<url>&symKey=<key>                       a relay of messages; topic = sha256(key)
 *
 * Whoever has the link has the session. Written percent-encoded; published dapps do not encode the key, so a `+` of its
 * base64, which a query gives back as a space, is understood.
 */
import { toBase64 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { parseSessionKey } from './payload.ts'

export type SessionLink =
  | { kind: 'carmentis-relay'; relay: string; sessionId: string; key: Uint8Array }
  | { kind: 'belfry-relay'; relay: string; key: Uint8Array }

const MAX_LINK_LENGTH = 4_096
const SESSION_ID = /^[\w-]{1,128}$/
const LOOPBACK = /^(?:localhost|[\w-]+\.localhost|127(?:\.\d{1,3}){3}|\[::1\])$/

const wrong = (detail: string): never => {
  throw new ProtocolError('bad_params', `the link cannot be used: ${detail}`)
}

/** As it is written. Throws `bad_params` for a relay over which others could read who talks to whom, and more. */
const checkedRelay = (text: string): string => {
  if (!URL.canParse(text)) return wrong('its relay is not a URL')
  const { protocol, hostname, username, password, search, hash } = new URL(text)
  const isSecure = protocol === 'https:' || protocol === 'wss:'
  const isPlain = protocol === 'http:' || protocol === 'ws:'
  if (!isSecure && !isPlain) return wrong('its relay is not https or wss')
  if (isPlain && !LOOPBACK.test(hostname))
    return wrong('its relay is neither https or wss nor on this machine')
  if (username !== '' || password !== '' || search !== '' || hash !== '') {
    return wrong('its relay has more than an address')
  }
  return text
}

const checkedId = (text: string): string =>
  SESSION_ID.test(text) ? text : wrong('its session id is not one')

/**
 * Reads a link that opens a session.
 *
 * @param text as it was opened or scanned
 * @returns relay and key of the session
 * @throws `ProtocolError` `bad_params` with what is wrong, never with the key
 */
export const parseSessionLink = (text: string): SessionLink => {
  if (text.length > MAX_LINK_LENGTH) return wrong('it is too long')
  if (!URL.canParse(text)) return wrong('it is not a URL')
  const { protocol, host, pathname, searchParams } = new URL(text)
  if (protocol !== 'cmts:' || host !== 'connect') return wrong('it does not begin with cmts://connect/')
  const one = (name: string): string => {
    const [value, another] = searchParams.getAll(name)
    if (value === undefined || value === '') return wrong(`it has no ${name}`)
    return another === undefined ? value : wrong(`it has more than one ${name}`)
  }
  const kind = pathname.replace(/^\/|\/$/g, '')
  if (kind !== 'carmentis-relay' && kind !== 'belfry-relay') return wrong('its kind of relay is not known')
  const relay = checkedRelay(one('relay'))
  if (kind === 'belfry-relay') return { kind, relay, key: keyIn(one('symKey')) }
  return { kind, relay, sessionId: checkedId(one('sessionId')), key: keyIn(one('symKey')) }
}

const keyIn = (text: string): Uint8Array => {
  try {
    return parseSessionKey(text.replaceAll(' ', '+'))
  } catch {
    return wrong('its key is not 32 bytes in hex, base64 or base64url')
  }
}

/**
 * Writes a link that opens a session. It has the key, so it is as secret as the session.
 *
 * @param link relay and key of the session
 * @returns the link, percent-encoded
 * @throws `ProtocolError` `bad_params` for what `parseSessionLink` would refuse
 */
export const formatSessionLink = (link: SessionLink): string => {
  const relay = encodeURIComponent(checkedRelay(link.relay))
  const session = link.kind === 'carmentis-relay' ? `&sessionId=${checkedId(link.sessionId)}` : ''
  if (link.key.length !== 32) return wrong('its key has not 32 bytes')
  return `cmts://connect/${link.kind}?relay=${relay}${session}&symKey=${encodeURIComponent(toBase64(link.key))}`
}
