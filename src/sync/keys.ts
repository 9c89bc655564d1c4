/**
 * Keys that the devices of an account share without having met: all of them follow from one signature of the account
 * over a fixed text. Published sync clients derive the same ones.
 *
 *     entropy = SHA-256 of the signature's text → BIP-39 mnemonic → seed → BIP-32 at m/77'/0'/0/… , where the store's name
 *     follows in pieces of four bytes, read as big-endian numbers. The private key there is the key of the store, and its
 *     SHA-256 the topic.
 *
 * The signature gives access to every store: it is as secret as a private key.
 */
import { HDKey } from '@scure/bip32'
import { entropyToMnemonic, mnemonicToSeedSync } from '@scure/bip39'
import { wordlist } from '@scure/bip39/wordlists/english.js'
import { crypto } from '#crypto'
import { utf8 } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { topicOf } from '../protocol/topic.ts'

/** What the account signs, once. */
export const syncMessage = (account: string): string =>
  `I authorize this app to sync my account: ${account}\n\nRead more about it here: https://walletconnect.com/faq`

/** A byte above 7f would begin a number that BIP-32 does not have. */
const STORE_NAME = /^[\x20-\x7e]{1,128}$/

/** Throws `bad_params` for a name that no store can have. */
export const pathOfStore = (name: string): string => {
  if (!STORE_NAME.test(name))
    throw new ProtocolError('bad_params', 'a store has a name of up to 128 ASCII characters')
  const pieces = name.match(/.{1,4}/g) ?? []
  const numbers = pieces.map((piece) => utf8(piece).reduce((number, byte) => number * 256 + byte, 0))
  return ["m/77'/0'/0", ...numbers].join('/')
}

export interface StoreKey {
  key: Uint8Array
  topic: string
}

/** Keys of the stores of the account that signed. Takes about ten milliseconds; what it returns is cheap to call. */
export const storeKeys = (signature: string): ((name: string) => StoreKey) => {
  const seed = mnemonicToSeedSync(entropyToMnemonic(crypto.sha256(utf8(signature)), wordlist))
  const root = HDKey.fromMasterSeed(seed)
  return (name) => {
    const { privateKey } = root.derive(pathOfStore(name))
    if (!privateKey) throw new ProtocolError('internal', 'a store has no key')
    return { key: privateKey, topic: topicOf(privateKey) }
  }
}
