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

export const createChannels = (redis: RedisConnection): Channels => {
  const listeners = new Map<string, Set<(text: string, channel: string) => void>>()
  let isAttached = false

  // A channel name is hashed like a key; the tag makes that explicit, and each channel has a slot of its own.
  const nameOf = (channel: string) => `${redis.prefix}{${channel}}`
  const channelOf = (name: string) => name.slice(redis.prefix.length + 1, -1)

  const attach = () => {
    isAttached = true
    redis.subscriber().on('smessage', (name: string, text: string) => {
      const channel = channelOf(name)
      for (const listener of listeners.get(channel) ?? []) listener(text, channel)
    })
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
      const subscriber = redis.subscriber()
      for (const channel of channels) {
        const known = listeners.get(channel)
        if (known) {
          known.add(listener)
          continue
        }
        listeners.set(channel, new Set([listener]))
        // One call a channel: in a cluster those of one call must share a slot. ioredis subscribes again by itself after
        // it lost a connection; what goes wrong here costs wake-ups only.
        subscriber.ssubscribe(nameOf(channel)).catch(() => {})
      }
      return {
        [Symbol.dispose]: () => {
          for (const channel of channels) {
            const known = listeners.get(channel)
            known?.delete(listener)
            if (known?.size !== 0) continue
            listeners.delete(channel)
            subscriber.sunsubscribe(nameOf(channel)).catch(() => {})
          }
        },
      }
    },
  }
}
