/** A wallet on one device, and what has reached it. */

import type { Owner } from '../../platform/ethereum-owner.ts'
import {
  createWallet,
  fromNotifyServer,
  type Notification,
  systemClock,
  type Wallet,
} from '../../sdk/wallet.ts'
import { DemoFailure } from './page.ts'
import type { DeviceServers } from './world.ts'

/** A step takes milliseconds; this is for machines that do much else. */
export const STEP_TIMEOUT_MS = 30_000

export interface Device {
  readonly name: string
  readonly wallet: Wallet
  readonly received: Notification[]
}

export const newDevice = (
  name: string,
  owner: Owner,
  { servers, state, signal }: { servers: DeviceServers; state?: unknown; signal: AbortSignal },
): Device => {
  const received: Notification[] = []
  const wallet = createWallet({
    ...servers,
    ...owner,
    domain: 'wallet.example.com',
    allApps: true,
    state,
    requestTimeout: STEP_TIMEOUT_MS,
    resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, servers.notifyUrl),
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
  { signal, timeoutMs = STEP_TIMEOUT_MS }: { signal: AbortSignal; timeoutMs?: number },
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
    const late = systemClock.after(timeoutMs, () =>
      fail(new DemoFailure(`${sentence} did not happen within ${timeoutMs / 1000} s.`)),
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
