/** Links of the notify server to a relay that trusts it: over a socket, and within one process. */
import type { RelayLink } from '../../../src/notify/relay/link.ts'
import type { Clock } from '../../../src/platform/runtime/clock.ts'
import { generateSigningKey, type SigningKey } from '../../../src/protocol/keys.ts'
import type { RelayClientOptions } from '../../../src/relay/client/index.ts'
import { createInProcessClient } from '../../../src/relay/in-process.ts'
import { startRelay } from './relay.ts'
import { connect, deps, randomMessage } from './scripted-relay.ts'

type Relay = Awaited<ReturnType<typeof startRelay>>
type LinkOptions = Pick<RelayClientOptions, 'onMessage' | 'laneOf' | 'maxQueued' | 'share'>
export type LinkTo = (
  relay: Relay,
  key: SigningKey,
  options?: LinkOptions,
  clock?: Clock,
) => RelayLink & AsyncDisposable

export const bySocket: LinkTo = (relay, key, options, clock = deps.clock) =>
  connect(relay.url, { key, remembers: true, ...options }, { clock })
export const inProcess: LinkTo = (relay, key, { share = false, ...options } = {}, clock = deps.clock) =>
  createInProcessClient(
    { ...deps, clock, hub: relay.hub },
    { clientId: key.did, share, remembers: true, ...options },
  )

/** For `describe.each`: the same sentences hold for both. */
export const links: [name: string, linkTo: LinkTo][] = [
  ['over a socket', bySocket],
  ['within a process', inProcess],
]

export const manyMessages = (count: number): string[] => Array.from({ length: count }, () => randomMessage())
export const publishOn = (topic: string, link: Pick<RelayLink, 'publish'>) => (message: string) =>
  link.publish({ topic, message, tag: 4002, ttl: 60 })

/** What handlers wait for until a test opens it. */
export const createGate = () => {
  let open: () => void = () => {}
  const passed = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), passed }
}

/** A relay that trusts a key, as ours trusts the notify server. */
export const startTrusting = async (
  options: Parameters<typeof startRelay>[0] & { key?: SigningKey } = {},
) => {
  const { key = generateSigningKey(), ...more } = options
  const relay = await startRelay({ trusted: (clientId) => clientId === key.did, ...more })
  /** What waits at the relay for a client. */
  const waiting = async (topic: string, clientId = key.did): Promise<string[]> => {
    const page = { after: 0, limit: 5_000, maxBytes: 10_000_000, now: Date.now() }
    return (await relay.store.pending(clientId, topic, page)).messages.map(({ message }) => message)
  }
  return Object.assign(relay, { key, waiting })
}
