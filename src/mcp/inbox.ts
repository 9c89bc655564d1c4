/** The agent's own wallet: an account whose key lies in a file that its owner alone can read. */
import { ownerFrom } from '../platform/ethereum-owner.ts'
import type { FetchDeps } from '../platform/net/fetch-json.ts'
import type { Log } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { createWallet, unmeasured, type Wallet } from '../sdk/wallet.ts'
import type { OpenInbox } from './tools/inbox.ts'

/** What lasts of the wallet, for one process at a time. */
export interface KeptInbox extends AsyncDisposable {
  ownerKey: Uint8Array
  /** As `save` was given it. Undefined: a new device. */
  state: unknown
  save(state: unknown): void
}

export interface InboxOptions {
  url: string
  /** The domain that the account's owner is told, in what the key signs. */
  domain: string
  trustServer: boolean
}

/** Shorter than a client waits. */
const REQUEST_TIMEOUT_MS = 20_000

/**
 * Opens the wallet when it is first needed, and again where that failed. `openKept` rejects with a sentence, as while another
 * process has it.
 */
export const createInbox = (
  deps: FetchDeps & { log: Log; openKept(): Promise<KeptInbox> },
  { url, domain, trustServer }: InboxOptions,
): AsyncDisposable & { open: OpenInbox } => {
  let opened: Promise<{ wallet: Wallet; kept: KeptInbox }> | undefined

  const open = async () => {
    const kept = await deps.openKept().catch((cause: unknown) => {
      throw new ProtocolError('conflict', cause instanceof Error ? cause.message : String(cause), { cause })
    })
    const wallet = createWallet(
      {
        ...{ url, domain, allApps: true, requestTimeout: REQUEST_TIMEOUT_MS },
        // Without the option a server on this machine is trusted.
        ...(trustServer && { trustServer }),
        ...ownerFrom(kept.ownerKey),
        state: kept.state,
        save: (state) => kept.save(state),
      },
      { clock: deps.clock, fetch: deps.fetch, log: deps.log, meter: unmeasured },
    )
    try {
      // What the account has, also from other devices.
      await wallet.watch()
      return { wallet, kept }
    } catch (error) {
      await wallet[Symbol.asyncDispose]()
      await kept[Symbol.asyncDispose]()
      throw error
    }
  }

  return {
    async open() {
      opened ??= open()
      const mine = opened
      try {
        return (await mine).wallet
      } catch (error) {
        if (opened === mine) opened = undefined
        throw error
      }
    },
    async [Symbol.asyncDispose]() {
      const found = await opened?.catch(() => undefined)
      await found?.wallet[Symbol.asyncDispose]()
      await found?.kept[Symbol.asyncDispose]()
    },
  }
}
