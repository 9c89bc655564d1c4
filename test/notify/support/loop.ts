import type { ConnectRelay, RelayLink, RelayMessage } from '../../../src/notify/relay/link.ts'

export interface Published {
  topic: string
  message: string
  tag: number
  ttl: number
  prompt?: boolean
}

/**
 * The seam to the relay without a relay: what the server publishes is kept here, and what a wallet sends is handed to it
 * directly, with the promise that decides whether a relay would deliver again.
 */
export const createLoop = () => {
  const published: Published[] = []
  const topics = new Set<string>()
  const left: string[] = []
  const listeners = new Set<() => void>()
  let handler: ((message: RelayMessage) => Promise<void>) | undefined
  let refuse: ((message: Published) => Error | undefined) | undefined
  let connected = true
  let isMute = false
  let gate: { enter(): Promise<void> } | undefined

  const link: RelayLink & AsyncDisposable = {
    get connected() {
      return connected
    },
    ready: async () => {},
    publish: async (message) => {
      const error = refuse?.(message)
      if (error) throw error
      await gate?.enter()
      published.push(message)
      if (isMute) throw new Error('the acknowledgement was lost')
    },
    subscribe: async (joined) => {
      for (const topic of joined) topics.add(topic)
    },
    unsubscribe: async (leaving) => {
      for (const topic of leaving) topics.delete(topic)
      left.push(...leaving)
    },
    onConnectionChange(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    [Symbol.asyncDispose]: async () => {},
  }

  const connect: ConnectRelay = (onMessage) => {
    handler = onMessage
    return link
  }

  return {
    connect,
    published,
    topics,
    left,
    /** Every publish for which this answers an error fails with it. */
    refuseWith(check: ((message: Published) => Error | undefined) | undefined) {
      refuse = check
    },
    /** From now on publishes wait, until they are released together. */
    hold() {
      const waiting: (() => void)[] = []
      gate = { enter: () => new Promise((resolve) => void waiting.push(resolve)) }
      return {
        get held() {
          return waiting.length
        },
        release() {
          gate = undefined
          for (const resolve of waiting.splice(0)) resolve()
        },
      }
    },
    /** Messages arrive, but the server does not learn of it. */
    setMute(value: boolean) {
      isMute = value
    },
    setConnected(value: boolean) {
      connected = value
      for (const listener of listeners) listener()
    },
    /** Rejects when the server wants the message again. */
    deliver: async ({ topic, message, tag }: { topic: string; message: string; tag: number }) => {
      if (!handler) throw new Error('The server has not connected')
      await handler({ topic, message, tag, publishedAt: 0, attestation: '' })
    },
  }
}
