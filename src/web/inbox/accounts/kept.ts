/** Whose inbox it is: an account of a wallet in this browser, or a key of the inbox's own. */
import * as z from 'zod'
import { newOwnerKey, ownerFrom } from '../../../platform/ethereum-owner.ts'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import type { Sign } from './wallets.ts'

const SECRET = /^[0-9a-f]{64}$/

const keptAccount = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('demo'), account: z.string(), secret: z.string().regex(SECRET) }),
  z.object({ kind: z.literal('wallet'), account: z.string(), walletId: z.string(), walletName: z.string() }),
])

/** As it lies in the database. */
export type KeptAccount = z.output<typeof keptAccount>

export const readAccount = (value: unknown): KeptAccount | undefined => keptAccount.safeParse(value).data

const demoAccount = (secret: Uint8Array): KeptAccount => ({
  kind: 'demo',
  account: ownerFrom(secret).account,
  secret: toHex(secret),
})

export const newDemoAccount = (): KeptAccount => demoAccount(newOwnerKey())

/**
 * The account of a demo key that another device shows, as the key or as the link that carries it. Undefined for anything
 * else.
 */
export const demoAccountFrom = (text: string): KeptAccount | undefined => {
  const [, key] = /(?:^|#key=)(?:0x)?([0-9a-f]{64})$/i.exec(text.trim()) ?? []
  if (key === undefined) return undefined
  try {
    return demoAccount(fromHex(key.toLowerCase()))
  } catch {
    return undefined
  }
}

export const signerOfDemo = ({ secret }: { secret: string }): Sign => ownerFrom(fromHex(secret)).sign

/** `0x1234…abcd`, as people tell accounts apart. */
export const shortAccount = (account: string): string => {
  const address = account.slice(account.lastIndexOf(':') + 1)
  return address.length > 14 ? `${address.slice(0, 6)}…${address.slice(-4)}` : address
}
