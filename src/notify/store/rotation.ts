/**
 * The store's part for changes of keys: compare-and-swap, so that of several processes that change the same thing one
 * succeeds and the others start over. Nothing else here is atomic.
 */
import type { AppRecord, Sealed } from './records.ts'

export interface RotationStore {
  /** The server's own keys as stored now; undefined before there are any. */
  storedServerKeys(): Promise<Record<string, Sealed> | undefined>
  /** Replaces the server's own keys if they are still `old`; returns whether it did. */
  swapServerKeys(old: Record<string, Sealed>, next: Record<string, Sealed>): Promise<boolean>
  /**
   * Replaces an app's record and the look-up of its subscribe topics if the record is still `old`; returns whether it
   * did. Both have the same domain and project.
   */
  swapApp(old: AppRecord, next: AppRecord): Promise<boolean>
  /** Replaces the key of an answer that waits in the outbox if it is still `old`; a completed entry is skipped. */
  swapAnswerKey(entryId: string, old: Sealed, next: Sealed): Promise<void>
}
