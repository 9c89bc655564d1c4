import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayStore, StoredMessage } from '../store.ts'

/** From the beginning of one group to that of the next. A message alone waits for nothing, a stream of them is few groups. */
const GROUP_INTERVAL_MS = 100
/** So many wait for nothing either. */
const MAX_GROUP_SIZE = 500

/** What is known of an acknowledged message; where it is nothing, the store is asked. */
export type Seen = Pick<StoredMessage, 'seq' | 'tag' | 'publisher' | 'expiresAt'>

export interface Acknowledged {
  clientId: string
  topic: string
  id: string
  seen: Seen | undefined
}

interface Group {
  readonly all: Acknowledged[]
  readonly clientIds: Set<string>
  readonly done: Promise<void>
  complete(): void
}

const newGroup = (): Group => {
  let complete = () => {}
  const done = new Promise<void>((resolve) => {
    complete = resolve
  })
  return { all: [], clientIds: new Set(), done, complete: () => complete() }
}

/**
 * Writes acknowledgements in groups: while one is being written the next one is collected. One that a crash of this process
 * loses, within the interval, means that the message comes once more, which at-least-once allows. Whoever reads a mailbox, or
 * leaves it to another process, waits for `whenDurable` first, so that nobody finds what is known here to be acknowledged.
 */
export interface AckBatcher {
  acknowledge(one: Acknowledged): void
  /**
   * Has everything that was acknowledged for the client written now, and resolves when it is durable; undefined when it
   * is already.
   */
  whenDurable(clientId: string): Promise<void> | undefined
  /** Has everything written. */
  idle(): Promise<void>
}

export const createAckBatcher = (deps: {
  store: Pick<RelayStore, 'acknowledge'>
  clock: Clock
  /** Resolves, and never rejects, when what follows from the acknowledgements is durable; they are written after it. */
  before: ((all: readonly Acknowledged[]) => Promise<void> | undefined) | undefined
  log: Log
  meter: Meter
}): AckBatcher => {
  const { clock } = deps
  let collecting = newGroup()
  let writing: Group | undefined
  let startedAt = Number.NEGATIVE_INFINITY
  let timer: Disposable | undefined
  /** Somebody waits for the group that is being collected. */
  let isAwaited = false

  const start = async (): Promise<void> => {
    timer?.[Symbol.dispose]()
    timer = undefined
    const group = collecting
    writing = group
    collecting = newGroup()
    isAwaited = false
    startedAt = clock.now()
    await writeGroup(deps, group.all)
    writing = undefined
    group.complete()
    startWhenDue()
  }

  const startWhenDue = (): void => {
    const { length } = collecting.all
    if (writing || length === 0) return
    const waitMs = isAwaited || length >= MAX_GROUP_SIZE ? 0 : startedAt + GROUP_INTERVAL_MS - clock.now()
    if (waitMs <= 0) void start()
    // The clock may have been set back.
    else timer ??= clock.after(Math.min(waitMs, GROUP_INTERVAL_MS), () => void start())
  }

  const hurry = (): void => {
    isAwaited = true
    startWhenDue()
  }

  return {
    acknowledge(one) {
      collecting.all.push(one)
      collecting.clientIds.add(one.clientId)
      // What else comes in this tick belongs to the group.
      if (collecting.all.length === 1) queueMicrotask(startWhenDue)
      else if (collecting.all.length === MAX_GROUP_SIZE) startWhenDue()
    },
    whenDurable(clientId) {
      const { clientIds, done } = collecting
      if (!clientIds.has(clientId)) return writing?.clientIds.has(clientId) ? writing.done : undefined
      hurry()
      return done
    },
    async idle() {
      while (writing || collecting.all.length > 0) {
        hurry()
        await (writing ?? collecting).done
      }
    },
  }
}

const writeGroup = async (
  { store, before, log, meter }: Parameters<typeof createAckBatcher>[0],
  all: readonly Acknowledged[],
): Promise<void> => {
  await before?.(all)
  const byClient = new Map<string, Acknowledged[]>()
  for (const one of all) {
    const receipts = byClient.get(one.clientId)
    if (receipts) receipts.push(one)
    else byClient.set(one.clientId, [one])
  }
  const writes = [...byClient].map(([clientId, receipts]) =>
    store.acknowledge(clientId, receipts).catch((err: unknown) => {
      log.error({ err, receipts: receipts.length }, 'Acknowledgements could not be written')
    }),
  )
  await Promise.all(writes)
  meter.count('relay_messages_acknowledged_total', undefined, all.length)
}
