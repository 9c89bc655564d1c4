/**
 * Topics, account keys and accounts as they are stored: there may be millions of them, each several times. Packed
 * topics and keys sort as what they stand for. Anything that does not look as expected stays as it is.
 */

const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
/** In ASCII order, unlike those of base64. */
const DIGITS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

const table = (from: string, to: string): Uint8Array => {
  const codes = new Uint8Array(256)
  for (let at = 0; at < from.length; at++) codes[from.charCodeAt(at)] = to.charCodeAt(at)
  return codes
}
const TO_SORTED = table(BASE64URL, DIGITS)
const FROM_SORTED = table(DIGITS, BASE64URL)
const translate = (text: string, codes: Uint8Array): string => {
  const bytes = Buffer.from(text, 'latin1')
  for (let at = 0; at < bytes.length; at++) bytes[at] = codes[bytes[at] ?? 0] ?? 0
  return bytes.toString('latin1')
}

const fromHex = (hex: string): string => translate(Buffer.from(hex, 'hex').toString('base64url'), TO_SORTED)
const toHex = (digits: string): string =>
  Buffer.from(translate(digits, FROM_SORTED), 'base64url').toString('hex')

const TOPIC = /^[0-9a-f]{64}$/
/** What stands before a topic that is not packed; no packed one begins with it. */
const PLAIN = '~'

/** 43 characters instead of 64. */
export const packTopic = (topic: string): string => (TOPIC.test(topic) ? fromHex(topic) : `${PLAIN}${topic}`)
export const unpackTopic = (packed: string): string =>
  packed.startsWith(PLAIN) ? packed.slice(1) : toHex(packed)

const ADDRESS = /^eip155:0x[0-9a-f]{40}$/
const PACKED = 'eip155:0X'

/** 36 characters instead of 49. Ethereum's account keys are in lower case: no other begins like a packed one. */
export const packAccount = (accountKey: string): string =>
  ADDRESS.test(accountKey) ? `${PACKED}${fromHex(accountKey.slice(PACKED.length))}` : accountKey
export const unpackAccount = (packed: string): string =>
  packed.startsWith(PACKED) ? `eip155:0x${toHex(packed.slice(PACKED.length))}` : packed

/** At most 50 letters: each is one bit of a number that is exact. */
const FORM = /^([-\w]+):([-\w]+):([-.%\w]{1,50})$/

/**
 * CAIP-10 as a client wrote it, `eip155:1:0xAb…`, beside its account key `eip155:0xab…`: the chain, a space, and which
 * letters are capitals. 10 characters instead of 51.
 */
export const packForm = (account: string, accountKey: string): string => {
  const [match, namespace = '', chain = '', address = ''] = FORM.exec(account) ?? []
  if (match === undefined || `${namespace}:${address.toLowerCase()}` !== accountKey)
    return `${PLAIN}${account}`
  let capitals = 0
  let bit = 1
  for (const letter of address) {
    if (letter !== letter.toLowerCase()) capitals += bit
    bit *= 2
  }
  return `${chain} ${capitals.toString(36)}`
}
export const unpackForm = (packed: string, accountKey: string): string => {
  if (packed.startsWith(PLAIN)) return packed.slice(1)
  const [chain = '', bits = ''] = packed.split(' ')
  const at = accountKey.indexOf(':')
  let capitals = Number.parseInt(bits, 36)
  let address = ''
  for (const letter of accountKey.slice(at + 1)) {
    address += capitals % 2 === 1 ? letter.toUpperCase() : letter
    capitals = Math.floor(capitals / 2)
  }
  return `${accountKey.slice(0, at)}:${chain}:${address}`
}
