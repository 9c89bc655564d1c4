import { open, type RootDatabase, type Transaction } from 'lmdb'
import { ProtocolError } from '../../protocol/errors.ts'

/** What the stores use of LMDB: tables, and transactions that are durable when their promise resolves. */
export interface Env {
  openDB: RootDatabase['openDB']
  /**
   * Runs `work` alone, then commits. What throws before its first write leaves nothing; LMDB does not roll back what
   * was written before a throw. Rejects with `unavailable` when the commit fails (a full disk): nothing of it is kept.
   */
  transaction<T>(work: () => T): Promise<T>
  /** What is there now, for reads that state it; ends when it is disposed of or the environment is closed. */
  snapshot(): { transaction: Transaction } & Disposable
  /** Enters this process among the readers, where `others` of another one finds it; opening a table takes it out again. */
  enter(): void
  /** Processes other than this one that have the environment open. */
  others(): number[]
  close(): Promise<void>
}

export const openEnv = (path: string): Env => {
  const env = open({
    path,
    noSubdir: false,
    maxDbs: 128,
    // Resolve after the data reached the disk, not when it is merely visible.
    overlappingSync: false,
    // Its internal promises reject without a handler when a commit fails, which ends the process. Transactions that
    // are asked for in one turn are grouped without it, too.
    eventTurnBatching: false,
  })
  const snapshots = new Set<Transaction>()
  return {
    openDB: env.openDB.bind(env),
    async transaction(work) {
      try {
        return await env.transaction(work)
      } catch (error) {
        if (!(error instanceof Error) || !('commitError' in error)) throw error
        // The reason comes as a promise that rejects.
        const cause = await Promise.resolve(error.commitError).catch((reason: unknown) => reason)
        throw new ProtocolError('unavailable', 'the store could not write', { cause })
      }
    },
    snapshot() {
      const transaction = env.useReadTransaction()
      snapshots.add(transaction)
      const end = () => {
        if (snapshots.delete(transaction)) transaction.done()
      }
      return { transaction, [Symbol.dispose]: end }
    },
    enter: () => void env.get(''),
    others() {
      // So that of two that come at once at least one sees the other.
      env.get('')
      env.readerCheck()
      const pids = env
        .readerList()
        .split('\n')
        .map((line) => Number.parseInt(line, 10))
      return [...new Set(pids)].filter((pid) => Number.isInteger(pid) && pid !== process.pid)
    },
    close() {
      for (const snapshot of snapshots) snapshot.done()
      snapshots.clear()
      return env.close()
    },
  }
}
