import type { Log, Meter } from '../../platform/telemetry.ts'
import type { RelayStore } from '../store.ts'

interface Batch {
  receipts: Map<string, { topic: string; id: string }[]>
  /** What must be durable first. */
  before: Promise<void>[]
  done: Promise<void>
  complete: () => void
}

const newBatch = (): Batch => {
  let complete = () => {}
  const done = new Promise<void>((resolve) => {
    complete = resolve
  })
  return { receipts: new Map(), before: [], done, complete }
}

/**
 * Writes acknowledgements, grouped: while one group is being written the next one is collected. A read of the mailbox
 * waits for `whenDurable`, so that it does not find what this process already knows to be acknowledged.
 */
export interface AckBatcher {
  /** `before` never rejects; the acknowledgement is written after it. */
  acknowledge(clientId: string, topic: string, id: string, before?: Promise<void>): void
  /** Resolves when all that was acknowledged for the client so far is durable; undefined when it is already. */
  whenDurable(clientId: string): Promise<void> | undefined
  idle(): Promise<void>
}

export const createAckBatcher = (deps: {
  store: Pick<RelayStore, 'acknowledge'>
  log: Log
  meter: Meter
}): AckBatcher => {
  const { store, log, meter } = deps
  let collecting = newBatch()
  let writing: Batch | undefined

  const write = async (batch: Batch): Promise<void> => {
    writing = batch
    if (batch.before.length > 0) await Promise.all(batch.before)
    let count = 0
    const writes = [...batch.receipts].map(([clientId, receipts]) => {
      count += receipts.length
      // A lost acknowledgement means that the message comes once more, which at-least-once allows.
      return store.acknowledge(clientId, receipts).catch((error: unknown) => {
        log.error({ err: error, receipts: receipts.length }, 'Acknowledgements could not be written')
      })
    })
    await Promise.all(writes)
    meter.count('relay_messages_acknowledged_total', undefined, count)
    writing = undefined
    batch.complete()
    if (collecting.receipts.size > 0) start()
  }

  const start = () => {
    const batch = collecting
    collecting = newBatch()
    void write(batch)
  }

  return {
    acknowledge(clientId, topic, id, before) {
      if (before) collecting.before.push(before)
      const receipts = collecting.receipts.get(clientId)
      if (receipts) {
        receipts.push({ topic, id })
        return
      }
      // The first of a tick starts the group at the end of the tick, unless one is being written.
      if (collecting.receipts.size === 0 && !writing) {
        const batch = collecting
        queueMicrotask(() => {
          if (collecting === batch && !writing) start()
        })
      }
      collecting.receipts.set(clientId, [{ topic, id }])
    },
    whenDurable(clientId) {
      if (collecting.receipts.has(clientId)) return collecting.done
      if (writing?.receipts.has(clientId)) return writing.done
      return undefined
    },
    async idle() {
      while (writing || collecting.receipts.size > 0) await (writing ?? collecting).done
    },
  }
}
