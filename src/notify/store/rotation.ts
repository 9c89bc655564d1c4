/**
 * What changing keys asks of storage: replacing what is kept if it is still what was read, so that of several processes
 * that change the same thing one succeeds and the others look again. Nothing else here needs to be atomic.
 */
import type { AppRecord, Sealed } from './records.ts'

export interface RotationStore {
  /** The server's own keys as they are kept now; undefined before there are any. */
  storedServerKeys(): Promise<Record<string, Sealed> | undefined>
  /** Replaces the server's own keys if they are still `old`; answers whether it did. */
  swapServerKeys(old: Record<string, Sealed>, next: Record<string, Sealed>): Promise<boolean>
  /**
   * Replaces an app's record, and which subscribe topics lead to it, if the record is still `old`; answers whether it
   * did. Both have the same domain and project.
   */
  swapApp(old: AppRecord, next: AppRecord): Promise<boolean>
  /** Replaces the key of an answer that waits in the outbox if it is still `old`; one that is gone is left alone. */
  swapAnswerKey(entryId: string, old: Sealed, next: Sealed): Promise<void>
}
