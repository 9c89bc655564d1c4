/** Who listens to a wallet's device, and what they are told. */
import type { Log } from '../../../platform/telemetry.ts'
import type { WalletEvents, WalletFailure } from './api.ts'

type Listener<E extends keyof WalletEvents> = (value: WalletEvents[E]) => void | Promise<void>

export interface Events {
  /** Resolves when all listeners have. Rejects when one does, which is told of as an `error`, too. */
  emit<E extends keyof WalletEvents>(event: E, value: WalletEvents[E]): Promise<void>
  /** For what nobody waits for: a listener that fails is told of as an `error`. */
  tell<E extends keyof WalletEvents>(event: E, value: WalletEvents[E]): void
  /** Tells of what went wrong while nobody waited for it, unless the wallet is closed, which ends much. Never throws. */
  fail(during: WalletFailure['during'], error: unknown): void
  on<E extends keyof WalletEvents>(event: E, listener: Listener<E>): Disposable
}

export const createEvents = (log: Log, isClosed: () => boolean): Events => {
  const listeners: { [E in keyof WalletEvents]: Set<Listener<E>> } = {
    message: new Set(),
    digest: new Set(),
    changed: new Set(),
    unread: new Set(),
    connected: new Set(),
    disconnected: new Set(),
    error: new Set(),
  }
  const call: Events['emit'] = async (event, value) => {
    for (const listener of listeners[event]) await listener(value)
  }
  const fail: Events['fail'] = (during, error) => {
    if (isClosed()) return
    call('error', { during, error }).catch((err: unknown) => {
      log.warn({ err }, 'A listener of errors failed')
    })
  }
  return {
    async emit(event, value) {
      try {
        await call(event, value)
      } catch (error) {
        fail('listener', error)
        throw error
      }
    },
    fail,
    tell: (event, value) => void call(event, value).catch((error: unknown) => fail('listener', error)),
    on(event, listener) {
      listeners[event].add(listener)
      return { [Symbol.dispose]: () => void listeners[event].delete(listener) }
    },
  }
}
