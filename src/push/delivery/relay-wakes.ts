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
import type { StateBudget } from '../../platform/budgets/state-budget.ts'
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Meter } from '../../platform/telemetry.ts'
import { DAY_MS } from '../../platform/units.ts'
import { PUSH_LIMITS } from '../limits.ts'
import { isWanted, mayWake, rankOf } from '../policy.ts'
import type { Addition, ProcessStore, WaitingMessage, WaitingStore } from '../store.ts'
import { ACKNOWLEDGE_WITHIN_MS, type Connected } from './connected.ts'
import type { KnownClient, KnownClients } from './known-clients.ts'

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
  message: WaitingMessage
  address: string
  /** It must not wake. */
  isSilent: boolean
}

/** What a reference to a message takes in a row. */
const REFERENCE_BYTES = 256
/** A push is paid for as long at most: it is handed over long before. */
const PAID_LIFE_MS = DAY_MS

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
  state: Pick<StateBudget, 'charge'>
  clock: Clock
  meter: Meter
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
  const waiting = { topic, id, tag, rank, at, expiresAt, ...seq }
  const add = (clientId: string): void => {
    if (clientId === publisher || (!isSilent && connected.hold(clientId, waiting, now))) return
    if (!known.isWithout(clientId, now)) open.push({ clientId, message: waiting, address, isSilent })
  }
  if (outcome.outcome === 'stored') for (const { clientId } of outcome.subscribers) add(clientId)
  if (outcome.outcome === 'duplicate') for (const clientId of outcome.waiting ?? []) add(clientId)
}

/** Charges what a push keeps; answers the candidates that are paid for. */
const paidOf = async (
  { state, meter }: WakesDeps,
  all: readonly Candidate[],
  clients: ReadonlyMap<string, KnownClient>,
  now: number,
): Promise<Candidate[]> => {
  const paid = await Promise.all(
    all.map(async ({ clientId, message, address }) => {
      const bytes = REFERENCE_BYTES * (clients.get(clientId)?.devices.length ?? 0)
      try {
        return await state.charge(address, bytes, Math.min(message.expiresAt - now, PAID_LIFE_MS))
      } catch {
        // Where the budget does not answer the store says so itself.
        return true
      }
    }),
  )
  const kept = all.filter((_, at) => paid[at])
  if (kept.length < all.length)
    meter.count('push_dropped_total', { reason: 'budget' }, all.length - kept.length)
  return kept
}

const NOBODY: KnownClient = { devices: [], connections: [] }

const write = async (deps: WakesDeps, candidates: readonly Candidate[]): Promise<void> => {
  const { store, known, connected, clock } = deps
  const clients = await known.among(candidates.map(({ clientId }) => clientId))
  if (clients.size === 0) return
  const now = clock.now()
  const ofDevices = candidates.filter(({ clientId }) => clients.has(clientId))
  const silent = ofDevices.filter(({ isSilent }) => isSilent)
  const waking = ofDevices.filter(({ isSilent }) => !isSilent)
  const byClient = new Map<string, WaitingMessage[]>()
  for (const { clientId, message } of await paidOf(deps, waking, clients, now))
    byClient.set(clientId, [...(byClient.get(clientId) ?? []), message])
  const additions = [...byClient].flatMap(([clientId, messages]) => {
    const client = clients.get(clientId) ?? NOBODY
    const isHere = connected.isConnected(clientId)
    const at = isHere || client.connections.length > 0 ? now + ACKNOWLEDGE_WITHIN_MS : now
    return additionsFor(client, messages, at)
  })
  await Promise.all([
    additions.length > 0 && store.add(additions, { limit: PUSH_LIMITS.messages, now }),
    ...silent.flatMap(({ clientId, message }) =>
      (clients.get(clientId) ?? NOBODY).connections.map(({ processId }) =>
        store.silence({ clientId, processId }, message.id),
      ),
    ),
  ])
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
