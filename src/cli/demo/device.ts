/** A wallet on one device, and what has reached it. */
import {
  createWallet,
  fromNotifyServer,
  type Notification,
  systemClock,
  type Wallet,
} from '../../sdk/wallet.ts'
import type { newAccount } from './account.ts'
import { DemoFailure } from './page.ts'
import type { StoreLocation } from './world.ts'

/** A step takes milliseconds; this is for slow machines. */
export const STEP_TIMEOUT = 10_000

export interface Device {
  readonly name: string
  readonly wallet: Wallet
  readonly received: Notification[]
}

export const newDevice = (
  name: string,
  owner: ReturnType<typeof newAccount>,
  { place, state, signal }: { place: StoreLocation; state?: unknown; signal: AbortSignal },
): Device => {
  const received: Notification[] = []
  const wallet = createWallet({
    ...place,
    ...owner,
    domain: 'wallet.example.com',
    allApps: true,
    state,
    requestTimeout: STEP_TIMEOUT,
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, place.notifyUrl),
    signal,
  })
  wallet.on('message', ({ notification }) => void received.push(notification))
  return { name, wallet, received }
}

/** Resolves when `check` answers something, looked at on every event of the wallet. */
export const until = <T>(
  wallet: Wallet,
  sentence: string,
  check: () => T | undefined,
  { signal, patience = STEP_TIMEOUT }: { signal: AbortSignal; patience?: number },
): Promise<T> =>
  new Promise((resolve, reject) => {
    const look = () => {
      const found = check()
      if (found === undefined) return
      end()
      resolve(found)
    }
    const fail = (reason: unknown) => {
      end()
      reject(reason)
    }
    const late = systemClock.after(patience, () =>
      fail(new DemoFailure(`${sentence} did not happen within ${patience / 1000} s.`)),
    )
    const onAbort = () => fail(signal.reason)
    // Listeners run in the order in which they were added, so what the device keeps is up to date here.
    const listeners = [wallet.on('message', look), wallet.on('changed', look)]
    const end = () => {
      signal.removeEventListener('abort', onAbort)
      for (const one of [late, ...listeners]) one[Symbol.dispose]()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    else look()
  })
