/** Where a wallet's device stores its state between two starts. */
import { createNextRun } from '../../../platform/concurrency/next-run.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { WalletState } from '../wallet/state.ts'
import type { Sealer } from './seal.ts'

/** Any place that stores a wallet's state; those of this package seal it. */
export interface WalletStore {
  /**
   * @returns what was saved last; undefined: nothing yet, so this is a new device.
   * @throws {ProtocolError} `state_unreadable` when something is there that cannot be opened.
   */
  load(): Promise<WalletState | undefined>
  /**
   * Resolves when the state would be there after a crash. A crash before leaves the former state.
   *
   * @param state the whole of it, in place of the former one.
   */
  save(state: WalletState): Promise<void>
}

/** A store whose content can be removed. */
export interface ClearableStore extends WalletStore {
  /** Removes the state: this is a new device then. */
  clear(): Promise<void>
}

/** One text that is replaced as a whole. */
export interface TextSlot {
  load(): Promise<string | undefined>
  save(text: string): Promise<void>
  clear(): Promise<void>
}

const opened = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new ProtocolError('state_unreadable', 'it is not the state of a wallet', { cause })
  }
}

/**
 * The state as one sealed text. What a wallet is given is checked where it reads it, so that a store need not know its
 * shape.
 */
export const sealedStore = (
  slot: TextSlot,
  sealer: Sealer,
  readState: (state: unknown) => WalletState,
): ClearableStore => {
  let latest: WalletState | undefined
  const writing = createNextRun(async () => {
    if (latest) await slot.save(await sealer.seal(JSON.stringify(latest)))
  })
  return {
    async load() {
      const sealed = await slot.load()
      return sealed === undefined ? undefined : readState(opened(await sealer.open(sealed)))
    },
    /** Writes one state after the other. While one is written the latest waits, and those before it are skipped. */
    save(state) {
      latest = state
      return writing.run()
    },
    async clear() {
      await writing.idle()
      await slot.clear()
    },
  }
}
