/** Clients of the relay at addresses that a proxy names, as the wire sees them. */
import { connectPeer, type Peer } from '../../scripts/bench/peer.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { generateSigningKey, type SigningKey } from '../../src/protocol/keys.ts'

/** Where the attack comes from, and who publishes to it. The bystander names no address. */
export const STRANGER = '203.0.113.9'
export const ACCOMPLICE = '198.51.100.7'

export const MONTH_S = 2_592_000

export const connectFrom = (
  address: string,
  wsUrl: string,
  how: { onMessage?: (message: string) => void; key?: SigningKey; acknowledges?: boolean } = {},
): Promise<Peer> => {
  const { onMessage = () => {}, key = generateSigningKey(), acknowledges = true } = how
  return connectPeer(wsUrl, onMessage, key, { headers: { 'X-Forwarded-For': address }, acknowledges })
}

export const randomTopic = (): string =>
  Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('hex')

/** The time of day, which a test can move on. */
export const movableClock = () => {
  let ahead = 0
  return {
    ...systemClock,
    now: () => systemClock.now() + ahead,
    move(ms: number) {
      ahead += ms
    },
  }
}

/** A wallet and a dapp at an address of their own; `beat` answers how long a message took, ms. */
export const startBystander = async (wsUrl: string) => {
  const waiting = new Map<string, () => void>()
  const [dapp, wallet] = await Promise.all([
    connectPeer(wsUrl),
    connectPeer(wsUrl, (message) => waiting.get(message)?.()),
  ])
  const topic = randomTopic()
  await wallet.request('irn_subscribe', { topic })
  let beats = 0
  return {
    async beat(): Promise<number> {
      const message = `beat ${++beats}`
      const began = performance.now()
      const arrived = new Promise<void>((resolve) => waiting.set(message, resolve))
      await dapp.request('irn_publish', { topic, message, ttl: 300, tag: 1 })
      await arrived
      waiting.delete(message)
      return performance.now() - began
    },
    [Symbol.dispose]() {
      dapp.close()
      wallet.close()
    },
  }
}
