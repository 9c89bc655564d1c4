/** Calls of a wallet's user. When the wallet is closed, those that are under way and all later ones reject with `closed`. */
import { ProtocolError } from '../../../protocol/errors.ts'

export const createCalls = () => {
  const underWay = new Set<(error: ProtocolError) => void>()
  let isClosed = false
  const run = <R>(task: () => Promise<R>): Promise<R> =>
    new Promise((resolve, reject) => {
      if (isClosed) return reject(new ProtocolError('closed'))
      underWay.add(reject)
      const end = () => void underWay.delete(reject)
      task().then(resolve, reject).finally(end)
    })

  return {
    get isClosed(): boolean {
      return isClosed
    },
    /** The same function, which ends with the wallet. */
    of<A extends unknown[], R>(task: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
      return (...args) => run(() => task(...args))
    },
    close(): void {
      isClosed = true
      for (const reject of underWay) reject(new ProtocolError('closed'))
    },
  }
}
