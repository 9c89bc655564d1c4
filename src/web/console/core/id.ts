import { toHex } from '../../../protocol/bytes.ts'

/** `crypto.randomUUID` is there over https only, and a console may be looked at over http, in a network of its own. */
export const newId = (): string => toHex(crypto.getRandomValues(new Uint8Array(16)))
