/** Tells other processes whose mailboxes have something new, over the port: what is sent in one turn is one text a channel. */
import type { Kv } from '../../../storage/kv.ts'
import type { Wake } from '../../store.ts'
import { hashOf } from './entries.ts'

export interface Wakes {
  send(topic: string, clientIds: readonly string[]): void
  /** The same, and the listeners of this process, too. */
  again(wake: Wake): void
  listen(listener: (wake: Wake) => void): Disposable
}

const CHANNELS = Array.from({ length: 64 }, (_, nth) => `relay:${nth}`)

const parsed = (text: string): { from: string; wakes: Wake[] } | undefined => {
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

export const createWakes = (kv: Pick<Kv, 'publish' | 'listen'>, instance: string): Wakes => {
  let outgoing: Map<string, Map<string, Set<string>>> | undefined
  const flush = () => {
    for (const [channel, topics] of outgoing ?? [])
      kv.publish(channel, [JSON.stringify([instance, ...[...topics].map(([topic, ids]) => [topic, ...ids])])])
    outgoing = undefined
  }
  const send: Wakes['send'] = (topic, clientIds) => {
    if (clientIds.length === 0) return
    if (!outgoing) {
      outgoing = new Map()
      queueMicrotask(flush)
    }
    for (const clientId of clientIds) {
      const channel = CHANNELS[hashOf(clientId) % CHANNELS.length] ?? ''
      const topics = outgoing.get(channel) ?? new Map<string, Set<string>>()
      outgoing.set(channel, topics)
      const known = topics.get(topic)
      if (known) known.add(clientId)
      else topics.set(topic, new Set([clientId]))
    }
  }
  const listeners = new Set<(wake: Wake) => void>()
  return {
    send,
    again(wake) {
      send(wake.topic, wake.clientIds)
      for (const listener of listeners) listener(wake)
    },
    listen(listener) {
      listeners.add(listener)
      const others = kv.listen(CHANNELS, (text) => {
        const said = parsed(text)
        if (said && said.from !== instance) for (const wake of said.wakes) listener(wake)
      })
      return {
        [Symbol.dispose]() {
          listeners.delete(listener)
          others[Symbol.dispose]()
        },
      }
    },
  }
}
