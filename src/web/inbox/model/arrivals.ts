/**
 * Messages between their arrival and their storing. Those that come while others are stored are stored together, in one
 * transaction with the state of the wallet that knows their ids: a page that dies loses none, and none comes twice.
 */
import type { WalletState } from '../../../sdk/wallet.ts'
import type { Database, Message, Stored } from './database.ts'

export interface Arrivals {
  /** It is stored when the wallet is saved, which follows. */
  add(message: Message): void
  /** Rejects when nothing could be stored; the next save has the messages of this one. */
  save(state: WalletState): Promise<void>
  /** Who is told of what is stored now. */
  onStored(listener: (stored: readonly Stored[]) => void): void
}

export const createArrivals = (database: Pick<Database, 'setWallet'>): Arrivals => {
  let waiting: Message[] = []
  let tell: (stored: readonly Stored[]) => void = () => {}
  return {
    add: (message) => void waiting.push(message),
    async save(state) {
      const messages = waiting
      waiting = []
      const stored = await database.setWallet(state, messages).catch((error: unknown) => {
        waiting = [...messages, ...waiting]
        throw error
      })
      if (stored.length > 0) tell(stored)
    },
    onStored(listener) {
      tell = listener
    },
  }
}
