/**
 * Wake-ups among processes, by sharded publish/subscribe (SPUBLISH/SSUBSCRIBE): a message goes only to the node of its
 * channel and to those that listen there. Wake-ups may be lost (a connection that breaks, a slot that moves) and are
 * never the truth; whoever listens looks into the store.
 */
import type { RedisConnection } from './connection.ts'

export interface Channels {
  /** Sends without waiting; a failure is a lost wake-up. Several of one turn leave together. */
  publish(messages: readonly { channel: string; text: string }[]): void
  /** Listens to channels (without the prefix) from the first call on; the same listener gets all of them. */
  listen(channels: readonly string[], listener: (text: string, channel: string) => void): Disposable
}

/** After Redis refused a subscription, ms. */
const RETRY = 1_000

export const createChannels = (redis: RedisConnection): Channels => {
  const listeners = new Map<string, Set<(text: string, channel: string) => void>>()
  const refused = new Set<string>()
  let isAttached = false

  // A channel name is hashed like a key; the tag makes that explicit, and each channel has a slot of its own.
  const nameOf = (channel: string) => `${redis.prefix}{${channel}}`
  const channelOf = (name: string) => name.slice(redis.prefix.length + 1, -1)

  /** One call a channel: in a cluster those of one call must share a slot. What goes wrong costs wake-ups only. */
  const subscribe = (channel: string) => {
    const subscriber = redis.subscriber()
    subscriber.ssubscribe(nameOf(channel)).catch(() => {
      if (subscriber.status === 'end') return
      if (refused.size === 0) setTimeout(tryAgain, RETRY).unref()
      refused.add(channel)
    })
  }
  const tryAgain = () => {
    const again = [...refused]
    refused.clear()
    for (const channel of again) if (listeners.has(channel)) subscribe(channel)
  }

  const attach = () => {
    isAttached = true
    const subscriber = redis.subscriber()
    subscriber.on('smessage', (name: string, text: string) => {
      const channel = channelOf(name)
      for (const listener of listeners.get(channel) ?? []) listener(text, channel)
    })
    // The client of a cluster looks after that itself.
    if (subscriber !== redis.client) {
      subscriber.on('ready', () => {
        for (const channel of listeners.keys()) subscribe(channel)
      })
    }
  }

  return {
    publish(messages) {
      if (messages.length === 0) return
      void redis
        .batch(() => messages.map(({ channel, text }) => redis.client.spublish(nameOf(channel), text)))
        .catch(() => {})
    },
    listen(channels, listener) {
      if (!isAttached) attach()
      for (const channel of channels) {
        const known = listeners.get(channel)
        if (known) {
          known.add(listener)
          continue
        }
        listeners.set(channel, new Set([listener]))
        subscribe(channel)
      }
      return {
        [Symbol.dispose]: () => {
          for (const channel of channels) {
            const known = listeners.get(channel)
            known?.delete(listener)
            if (known?.size !== 0) continue
            listeners.delete(channel)
            redis
              .subscriber()
              .sunsubscribe(nameOf(channel))
              .catch(() => {})
          }
        },
      }
    },
  }
}
