/**
 * The relay's messages, as push sees them. The relay shows every message that it stored before its publisher is answered, every
 * acknowledgement, and who is connected; it knows nothing of devices.
 *
 * | the client is | a message that wakes becomes |
 * |---|---|
 * | not connected | a push that waits, due at once |
 * | connected to another process | a push that waits, due in half a second |
 * | connected here | held in memory for half a second (`connected`), then a push that waits |
 *
 * A push that waits is durable before the publisher is answered. Whether the message was acknowledged meanwhile is looked at
 * when the push is due (`sender`). A publisher that tries again, because a process died before it was answered, is met by a
 * duplicate: then those for whom something waits in the topic are looked at once more.
 *
 * The price where no client has a device: nothing but a look into the store every ten seconds. Of a client without devices
 * that is known for ten seconds, too.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { PUSH_LIMITS } from '../limits.ts'
import { isWanted, mayWake, rankOf } from '../policy.ts'
import type { Addition, ProcessStore, WaitingMessage, WaitingStore } from '../store.ts'
import { ACKNOWLEDGE_WITHIN_MS, type Connected } from './connected.ts'
import type { KnownClient, KnownClients } from './known-clients.ts'
import type { PaidMessage, Payment } from './payment.ts'

/** A message as the relay took it. */
interface Taken {
  topic: string
  id: string
  tag: number
  publisher: string
  publishedAt: number
  expiresAt: number
  prompt?: boolean
}

/** What became of it. */
type Outcome =
  | { outcome: 'stored'; seq: number; subscribers: readonly { clientId: string }[] }
  | { outcome: 'duplicate'; waiting?: readonly string[] }
  | { outcome: 'full' }

export interface RelayWakes {
  /** Resolves when all pushes that follow are durable; undefined when there are none. `addresses` pay for them. */
  published(
    messages: readonly Taken[],
    outcomes: readonly Outcome[],
    addresses: readonly string[],
  ): Promise<void> | undefined
  acknowledged(clientId: string, topic: string, id: string): void
  connected(clientId: string): void
  disconnected(clientId: string): void
}

/** A message for one client that may have devices. */
interface Candidate {
  clientId: string
  paid: PaidMessage
  /** It must not wake. */
  isSilent: boolean
}

/** What is added to the queues for these messages of one client. */
export const additionsFor = (
  { devices }: Pick<KnownClient, 'devices'>,
  messages: readonly WaitingMessage[],
  at: number,
): Addition[] =>
  devices.flatMap((device) => {
    const wanted = messages.filter(({ tag }) => isWanted(device, tag))
    if (wanted.length === 0) return []
    const { clientId, id: deviceId, projectId, address } = device
    return [{ clientId, deviceId, projectId, provider: address.provider, at, messages: wanted }]
  })

interface WakesDeps {
  store: Pick<WaitingStore, 'add'> & Pick<ProcessStore, 'silence'>
  known: KnownClients
  connected: Connected
  pay: Payment
  clock: Clock
}

/** Adds those for whom the message is to be looked at; one that is held for its client is no more of them. */
const addOpen = (
  { connected, known }: WakesDeps,
  open: Candidate[],
  message: Taken,
  outcome: Outcome,
  { address, now }: { address: string; now: number },
): void => {
  const { topic, id, tag, prompt, publisher, publishedAt: at, expiresAt } = message
  const rank = rankOf(tag, prompt)
  const isSilent = rank === 0 && prompt === false && mayWake(tag)
  if (rank === 0 && !isSilent) return
  const seq = outcome.outcome === 'stored' ? { seq: outcome.seq } : undefined
  const paid = { message: { topic, id, tag, rank, at, expiresAt, ...seq }, address }
  const add = (clientId: string): void => {
    if (clientId === publisher || (!isSilent && connected.hold(clientId, paid, now))) return
    if (!known.isWithout(clientId, now)) open.push({ clientId, paid, isSilent })
  }
  if (outcome.outcome === 'stored') for (const { clientId } of outcome.subscribers) add(clientId)
  if (outcome.outcome === 'duplicate') for (const clientId of outcome.waiting ?? []) add(clientId)
}

const NOBODY: KnownClient = { devices: [], connections: [] }

const byClientOf = (candidates: readonly Candidate[]): Map<string, PaidMessage[]> => {
  const byClient = new Map<string, PaidMessage[]>()
  for (const { clientId, paid } of candidates) {
    const known = byClient.get(clientId)
    if (known) known.push(paid)
    else byClient.set(clientId, [paid])
  }
  return byClient
}

/** Has the processes to which their clients are connected know of messages that must not wake. */
const silence = async (
  { store, pay }: WakesDeps,
  candidates: readonly Candidate[],
  clients: ReadonlyMap<string, KnownClient>,
): Promise<void> => {
  const one = async (clientId: string, messages: readonly PaidMessage[]) => {
    const { connections } = clients.get(clientId) ?? NOBODY
    if (connections.length === 0) return
    for (const { id } of await pay(messages, 1))
      for (const { processId } of connections) await store.silence({ clientId, processId }, id)
  }
  await Promise.all([...byClientOf(candidates)].map(([clientId, messages]) => one(clientId, messages)))
}

const wake = async (
  { store, connected, pay, clock }: WakesDeps,
  candidates: readonly Candidate[],
  clients: ReadonlyMap<string, KnownClient>,
): Promise<void> => {
  const now = clock.now()
  const additions = await Promise.all(
    [...byClientOf(candidates)].map(async ([clientId, messages]) => {
      const client = clients.get(clientId) ?? NOBODY
      const isHere = connected.isConnected(clientId)
      const at = isHere || client.connections.length > 0 ? now + ACKNOWLEDGE_WITHIN_MS : now
      return additionsFor(client, await pay(messages, client.devices.length), at)
    }),
  )
  const all = additions.flat()
  if (all.length > 0) await store.add(all, { limit: PUSH_LIMITS.messages, now })
}

const write = async (deps: WakesDeps, candidates: readonly Candidate[]): Promise<void> => {
  const clients = await deps.known.among(candidates.map(({ clientId }) => clientId))
  if (clients.size === 0) return
  const waking: Candidate[] = []
  const silent: Candidate[] = []
  for (const one of candidates) if (clients.has(one.clientId)) (one.isSilent ? silent : waking).push(one)
  await Promise.all([wake(deps, waking, clients), silence(deps, silent, clients)])
}

export const createRelayWakes = (deps: WakesDeps): RelayWakes => {
  const { known, connected, clock } = deps
  return {
    published(messages, outcomes, addresses) {
      if (known.isEmpty()) return undefined
      const now = clock.now()
      const open: Candidate[] = []
      for (const [at, message] of messages.entries()) {
        const outcome = outcomes[at]
        if (outcome) addOpen(deps, open, message, outcome, { address: addresses[at] ?? '', now })
      }
      return open.length > 0 ? write(deps, open) : undefined
    },
    acknowledged: connected.acknowledged,
    connected: connected.connected,
    disconnected: connected.disconnected,
  }
}
