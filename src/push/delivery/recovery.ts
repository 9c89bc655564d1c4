/**
 * After a process died: the mailboxes of the clients that were connected to it are looked into, and what waits there since they
 * connected becomes a push. What was handed over within the last hour is left out.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { PUSH_LIMITS } from '../limits.ts'
import { rankOf } from '../policy.ts'
import type { Addition, ConnectedClient, PushStore, WaitingMessage } from '../store.ts'
import type { KnownClients } from './known-clients.ts'
import { additionsFor } from './relay-wakes.ts'

/** A message as it lies in a mailbox. */
export interface MailboxMessage {
  topic: string
  id: string
  message: string
  publisher: string
  tag: number
  seq: number
  publishedAt: number
  expiresAt: number
}

/** What push asks of the relay's mailboxes. */
export interface Mailboxes {
  waiting(clientId: string, now: number): AsyncIterable<string[]>
  pending(
    clientId: string,
    topic: string,
    page: { after: number; limit: number; maxBytes: number; now: number },
  ): Promise<{ messages: MailboxMessage[]; hasMore: boolean }>
  message(topic: string, id: string, now: number): Promise<MailboxMessage | undefined>
  /** Those of these messages that the client has not acknowledged. */
  pick(clientId: string, topic: string, seqs: readonly number[], now: number): Promise<MailboxMessage[]>
}

const LOOK_EVERY_MS = 5_000
/** Clients that are looked at together. */
const PAGE_SIZE = 50
const MAILBOX_PAGE = { limit: 100, maxBytes: 512 * 1024 }
/** Clocks of processes may differ by so much. */
const CLOCK_LEEWAY_MS = 5_000

interface RecoveryDeps {
  store: Pick<PushStore, 'dead' | 'clientsOf' | 'connections' | 'disconnected' | 'buried' | 'add' | 'handed'>
  mailboxes: Mailboxes
  known: KnownClients
  clock: Clock
  log: Log
}

/** What waits in one topic since the client connected. */
const missedOn = async (
  { mailboxes, clock }: RecoveryDeps,
  { clientId, since, silent }: ConnectedClient,
  topic: string,
  signal: AbortSignal,
): Promise<WaitingMessage[]> => {
  const found: WaitingMessage[] = []
  for (let after = 0, more = true; more && !signal.aborted; ) {
    const now = clock.now()
    const page = await mailboxes.pending(clientId, topic, { after, ...MAILBOX_PAGE, now })
    for (const { id, tag, seq, publishedAt: at, expiresAt } of page.messages) {
      const rank = rankOf(tag, undefined)
      if (rank > 0 && at >= since - CLOCK_LEEWAY_MS && !silent.includes(id))
        found.push({ topic, id, tag, rank, at, expiresAt, seq })
    }
    after = page.messages.at(-1)?.seq ?? after
    more = page.hasMore && page.messages.length > 0
  }
  return found
}

/** What waits for the client since it connected to the process that died. */
const missedBy = async (
  deps: RecoveryDeps,
  connection: ConnectedClient,
  signal: AbortSignal,
): Promise<WaitingMessage[]> => {
  const found: WaitingMessage[] = []
  for await (const topics of deps.mailboxes.waiting(connection.clientId, deps.clock.now()))
    for (const topic of topics) found.push(...(await missedOn(deps, connection, topic, signal)))
  return found
}

/** Those that were handed to the device must not make others give way. */
const withoutHanded = async ({ store }: RecoveryDeps, addition: Addition): Promise<Addition> => {
  const { messages } = addition
  const handed = await store.handed(
    addition,
    messages.map(({ id }) => id),
  )
  return { ...addition, messages: messages.filter(({ id }) => !handed.has(id)) }
}

const recoverClient = async (
  deps: RecoveryDeps,
  clientId: string,
  processId: string,
  signal: AbortSignal,
): Promise<void> => {
  const { store, known, clock } = deps
  const connection = (await store.connections([clientId])).find((one) => one.processId === processId)
  const client = (await known.among([clientId])).get(clientId)
  if (connection && client) {
    const messages = await missedBy(deps, connection, signal)
    if (signal.aborted) return
    const now = clock.now()
    const open = await Promise.all(additionsFor(client, messages, now).map((one) => withoutHanded(deps, one)))
    const additions = open.filter((one) => one.messages.length > 0)
    if (additions.length > 0) await store.add(additions, { limit: PUSH_LIMITS.messages, now })
  }
  await store.disconnected({ clientId, processId })
}

const recoverProcess = async (deps: RecoveryDeps, processId: string, signal: AbortSignal): Promise<void> => {
  for (;;) {
    const clientIds = await deps.store.clientsOf(processId, PAGE_SIZE)
    if (signal.aborted) return
    if (clientIds.length === 0) break
    await Promise.all(clientIds.map((clientId) => recoverClient(deps, clientId, processId, signal)))
  }
  await deps.store.buried(processId)
}

/**
 * Looks for dead processes until the signal. `isDead`: whether a process that has not said lately that it lives is to be taken
 * for dead; on a store of one process all others are, at once.
 */
export const recoverDead = async (
  deps: RecoveryDeps,
  { isAlone, own }: { isAlone: boolean; own: () => string | undefined },
  signal: AbortSignal,
): Promise<void> => {
  const { store, clock, log } = deps
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    try {
      const now = isAlone && isFirst ? Number.MAX_SAFE_INTEGER : clock.now()
      for (const processId of await store.dead(now))
        if (processId !== own()) await recoverProcess(deps, processId, signal)
    } catch (err) {
      log.warn({ err }, 'What a process that died had to push could not be looked for; trying again')
    }
    await pause(clock, LOOK_EVERY_MS, signal)
  }
}
