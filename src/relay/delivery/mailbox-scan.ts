import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import type { RelayStore } from '../store.ts'

/** What a scan does with what it finds. */
interface ScanReader {
  hasRoom(): boolean
  /** A batch of topics was looked at. */
  looked(): unknown
  /** Something may wait on the topic. */
  read(topic: string): Promise<void>
}

/** Goes through the mailboxes of all topics of a client, one after the other, as far as there is room. */
export class MailboxScan {
  readonly #deps: { store: Pick<RelayStore, 'waiting'>; clock: Clock; log: Log }
  readonly #clientId: string
  /** Set while a scan runs: topics that the client left meanwhile. */
  #unsubscribed: Set<string> | undefined
  #roomWaiters: (() => void)[] = []
  #isClosed = false

  constructor(deps: { store: Pick<RelayStore, 'waiting'>; clock: Clock; log: Log }, clientId: string) {
    this.#deps = deps
    this.#clientId = clientId
  }

  get isRunning(): boolean {
    return this.#unsubscribed !== undefined
  }

  get waitsForRoom(): boolean {
    return this.#roomWaiters.length > 0
  }

  subscribed(topic: string): void {
    this.#unsubscribed?.delete(topic)
  }

  unsubscribed(topic: string): void {
    this.#unsubscribed?.add(topic)
  }

  async run(reader: ScanReader): Promise<void> {
    const { store, clock, log } = this.#deps
    const unsubscribed = new Set<string>()
    this.#unsubscribed = unsubscribed
    try {
      for await (const topics of store.waiting(this.#clientId, clock.now())) {
        reader.looked()
        for (const topic of topics) {
          while (!this.#isClosed && !reader.hasRoom()) {
            await new Promise<void>((resolve) => this.#roomWaiters.push(resolve))
          }
          if (this.#isClosed) return
          if (!unsubscribed.has(topic)) await reader.read(topic)
        }
      }
    } catch (error) {
      if (!this.#isClosed) log.error({ err: error }, 'The mailboxes of a client could not be read')
    } finally {
      this.#unsubscribed = undefined
    }
  }

  /** There is room again. */
  resume(): void {
    const waiters = this.#roomWaiters
    this.#roomWaiters = []
    for (const wake of waiters) wake()
  }

  close(): void {
    this.#isClosed = true
    this.resume()
  }
}
