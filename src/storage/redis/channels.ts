/**
 * Wake-ups among processes, by sharded publish/subscribe (SPUBLISH/SSUBSCRIBE): a message goes only to the node of its
 * channel and to those that listen there. Wake-ups may be lost (a connection that breaks, a slot that moves) and are
 * never the truth; a listener looks into the store.
 */
import type { RedisConnection } from './connection.ts'

export interface Channels {
  /** Sends without waiting; a failure is a lost wake-up. Several of one turn leave together. */
  publish(messages: readonly { channel: string; text: string }[]): void
  /** Listens to channels (without the prefix) from the first call on; the same listener gets all of them. */
  listen(channels: readonly string[], listener: (text: string, channel: string) => void): Disposable
}

/** After Redis refused a subscription. */
const RESUBSCRIBE_AFTER_MS = 1_000

const openChannels = (redis: RedisConnection) => {
  const listeners = new Map<string, Set<(text: string, channel: string) => void>>()
  const refused = new Set<string>()
  return { redis, listeners, refused, isAttached: false }
}
type ChannelsState = ReturnType<typeof openChannels>

// A channel name is hashed like a key; the tag makes that explicit, and each channel has a slot of its own.
const nameOf = (state: ChannelsState, channel: string) => `${state.redis.prefix}{${channel}}`

const channelOf = (state: ChannelsState, name: string) => name.slice(state.redis.prefix.length + 1, -1)

/** One call a channel: in a cluster those of one call must share a slot. What goes wrong costs wake-ups only. */
const subscribe = (state: ChannelsState, channel: string) => {
  const subscriber = state.redis.subscriber()
  subscriber.ssubscribe(nameOf(state, channel)).catch(() => {
    if (subscriber.status === 'end') return
    if (state.refused.size === 0) setTimeout(() => tryAgain(state), RESUBSCRIBE_AFTER_MS).unref()
    state.refused.add(channel)
  })
}

const tryAgain = (state: ChannelsState) => {
  const again = [...state.refused]
  state.refused.clear()
  for (const channel of again) if (state.listeners.has(channel)) subscribe(state, channel)
}

const attach = (state: ChannelsState) => {
  state.isAttached = true
  const subscriber = state.redis.subscriber()
  subscriber.on('smessage', (name: string, text: string) => {
    const channel = channelOf(state, name)
    for (const listener of state.listeners.get(channel) ?? []) listener(text, channel)
  })
  // The client of a cluster looks after that itself.
  if (subscriber !== state.redis.client) {
    subscriber.on('ready', () => {
      for (const channel of state.listeners.keys()) subscribe(state, channel)
    })
  }
}

export const createChannels = (redis: RedisConnection): Channels => {
  const state = openChannels(redis)

  return {
    publish(messages) {
      if (messages.length === 0) return
      void state.redis
        .batch(() =>
          messages.map(({ channel, text }) => state.redis.client.spublish(nameOf(state, channel), text)),
        )
        .catch(() => {})
    },
    listen(channels, listener) {
      if (!state.isAttached) attach(state)
      for (const channel of channels) {
        const known = state.listeners.get(channel)
        if (known) {
          known.add(listener)
          continue
        }
        state.listeners.set(channel, new Set([listener]))
        subscribe(state, channel)
      }
      return {
        [Symbol.dispose]: () => {
          for (const channel of channels) {
            const known = state.listeners.get(channel)
            known?.delete(listener)
            if (known?.size !== 0) continue
            state.listeners.delete(channel)
            state.redis
              .subscriber()
              .sunsubscribe(nameOf(state, channel))
              .catch(() => {})
          }
        },
      }
    },
  }
}
