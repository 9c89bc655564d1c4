import type { Wake } from '../../../relay/store.ts'
import type { Channels } from '../channels.ts'
import { WAKE_CHANNELS, wakeChannelOf } from './rows.ts'

/**
 * Tells the other processes whose mailboxes have something new. The channel follows from the client id, so that a process
 * could listen to some only; what is sent in one turn to one channel is one message: the sender, then of each topic its
 * name and the clients, as JSON.
 */
export interface Wakes {
  send(topic: string, clientIds: readonly string[]): void
  /** Tells the listeners of this process. */
  here(wake: Wake): void
  listen(listener: (wake: Wake) => void): Disposable
}

const CHANNELS = Array.from({ length: WAKE_CHANNELS }, (_, at) => `wake:${at}`)

const parse = (text: string): { from: string; wakes: Wake[] } | undefined => {
  try {
    const [from, ...topics]: unknown[] = JSON.parse(text)
    if (typeof from !== 'string') return undefined
    const wakes: Wake[] = []
    for (const one of topics) {
      if (!Array.isArray(one)) return undefined
      const [topic, ...clientIds]: unknown[] = one
      if (typeof topic !== 'string' || !clientIds.every((id) => typeof id === 'string')) return undefined
      wakes.push({ topic, clientIds })
    }
    return { from, wakes }
  } catch {
    return undefined
  }
}

export const createWakes = (channels: Channels, instance: string): Wakes => {
  const listeners = new Set<(wake: Wake) => void>()
  let listening: Disposable | undefined
  let outgoing: Map<number, Map<string, Set<string>>> | undefined

  const flush = () => {
    const messages = [...(outgoing ?? [])].map(([channel, topics]) => ({
      channel: CHANNELS[channel] ?? '',
      text: JSON.stringify([instance, ...[...topics].map(([topic, clientIds]) => [topic, ...clientIds])]),
    }))
    outgoing = undefined
    channels.publish(messages)
  }
  const here = (wake: Wake) => {
    for (const listener of listeners) listener(wake)
  }

  return {
    send(topic, clientIds) {
      if (clientIds.length === 0) return
      if (!outgoing) {
        outgoing = new Map()
        queueMicrotask(flush)
      }
      for (const clientId of clientIds) {
        const channel = wakeChannelOf(clientId)
        const topics = outgoing.get(channel) ?? new Map<string, Set<string>>()
        outgoing.set(channel, topics)
        const known = topics.get(topic)
        if (known) known.add(clientId)
        else topics.set(topic, new Set([clientId]))
      }
    },
    here,
    listen(listener) {
      listeners.add(listener)
      listening ??= channels.listen(CHANNELS, (text) => {
        const said = parse(text)
        if (said && said.from !== instance) for (const wake of said.wakes) here(wake)
      })
      return {
        [Symbol.dispose]: () => {
          listeners.delete(listener)
          if (listeners.size > 0) return
          listening?.[Symbol.dispose]()
          listening = undefined
        },
      }
    },
  }
}
