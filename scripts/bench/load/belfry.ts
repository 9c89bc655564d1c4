/** A client of Belfry's relay, and of the router that is compared with it. */
import { createHash } from 'node:crypto'
import { signingKeyFrom } from '../../../src/protocol/keys.ts'
import { connectPeer } from '../peer.ts'
import type { Connect } from './link.ts'

export const connectBelfry: Connect = async (url, name, onMessage) => {
  const key = signingKeyFrom(createHash('sha256').update(name).digest())
  const peer = await connectPeer(url, onMessage, key)
  return {
    subscribe: (topic) => peer.request('irn_subscribe', { topic }),
    publish: (topic, message) =>
      peer.request('irn_publish', { topic, message, ttl: 300, tag: 4002, prompt: true }),
    close: async () => peer.close(),
  }
}
