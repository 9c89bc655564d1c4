import type { ProtocolError } from '../../protocol/errors.ts'

/** Those who listen to whether there is a connection, and those who wait for one. */
export const createConnectionListeners = () => {
  const listeners = new Set<(connected: boolean) => void>()
  const waiting: { resolve: () => void; reject: (error: ProtocolError) => void }[] = []
  return {
    add(listener: (connected: boolean) => void): Disposable {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    /** Resolves with the next connection; rejects when there will be none. */
    connected: (): Promise<void> => new Promise((resolve, reject) => waiting.push({ resolve, reject })),
    resolveWaiting(): void {
      for (const { resolve } of waiting.splice(0)) resolve()
    },
    rejectWaiting(error: ProtocolError): void {
      for (const { reject } of waiting.splice(0)) reject(error)
    },
    notify(connected: boolean): void {
      for (const listener of listeners) listener(connected)
    },
  }
}
