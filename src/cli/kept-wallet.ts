/** A wallet of the command line between two runs: a file with its account's key and its state, for its owner's eyes only. */
import { existsSync, readFileSync } from 'node:fs'
import * as z from 'zod'
import { newOwnerKey } from '../platform/ethereum-owner.ts'
import { fromHex, toHex } from '../protocol/bytes.ts'
import { writeDurably } from '../server/config/durable-file.ts'
import { reasonOf } from '../server/config/start-error.ts'
import { CommandFailure } from './command-failure.ts'

export interface KeptWallet {
  ownerKey: Uint8Array
  /** Undefined: a new device. */
  state: unknown
}

const kept = z.object({ url: z.string(), ownerKey: z.string().regex(/^[0-9a-f]{64}$/), state: z.unknown() })

export const newWallet = (): KeptWallet => ({ ownerKey: newOwnerKey(), state: undefined })

/** The key and the state of the last time, from the file that the flag names, or a new key. */
export const openKept = (file: string, url: string, flag = 'keep'): KeptWallet => {
  if (!existsSync(file)) return newWallet()
  try {
    const { ownerKey, state, url: before } = kept.parse(JSON.parse(readFileSync(file, 'utf8')))
    // What it knows is of another server: the account goes on, the state begins anew.
    return { ownerKey: fromHex(ownerKey), state: before === url ? state : undefined }
  } catch (cause) {
    throw new CommandFailure(`${file} is no file that --${flag} wrote: name another one.`, { cause })
  }
}

export const keep = (file: string, { url, ownerKey, state }: KeptWallet & { url: string }): void => {
  try {
    writeDurably(file, `${JSON.stringify({ url, ownerKey: toHex(ownerKey), state })}\n`)
  } catch (cause) {
    throw new CommandFailure(`${file} cannot be written: ${reasonOf(cause)}.`, { cause })
  }
}
