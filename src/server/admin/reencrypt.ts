/**
 * Encrypts everything that is stored with the present secret, so that the one before it is needed no more.
 *
 * It goes over whole tables and writes only what another secret sealed, each record replaced if it is still what was read. So
 * it may be interrupted anywhere, begun again, and done by several processes at once. A round that wrote something is followed
 * by another one, because other processes may still use the former secret: only a round that finds nothing shows that the
 * former secret is not needed. What is sealed is listed in `sealed-tables`.
 */
import type { Vault } from '../../notify/apps/vault.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Stores } from '../../storage/stores.ts'
import type { Records, TableName } from '../../storage/transfer/transfer.ts'
import { createSealedTables, type Reencrypt, type SealedTableName } from './sealed-tables.ts'

export interface ReencryptionState {
  isRunning: boolean
  /** Which round over everything this is. */
  round: number
  /** What is being looked at. */
  table: string | null
  /** Records looked at in this round. */
  seen: number
  /** Records sealed anew since it began. */
  resealed: number
  /** Records of this round that were sealed with the other secret. */
  left: number
  /** Records that no known secret opens. */
  unreadable: number
  /** The last round found nothing: the other secret is not needed any more. */
  isDone: boolean
  error: string | null
}

export interface Reencryption extends AsyncDisposable {
  /** Begins unless it is under way. Throws `former_secret` while the next start would take another secret. */
  begin(): void
  state(): ReencryptionState
}

/** Records at once: the engines group what is asked for in one turn. */
const BATCH_SIZE = 64
const MAX_ROUNDS = 10
/** Between two rounds: what was under way with the other secret comes to its end. */
const ROUND_PAUSE_MS = 1_000

const IDLE: ReencryptionState = {
  ...{ isRunning: false, round: 0, table: null, seen: 0, resealed: 0, left: 0, unreadable: 0 },
  ...{ isDone: false, error: null },
}

interface SecretFiles {
  /** Whether the next start would take the secret that this process seals with. */
  isPresent: () => boolean
  /** Called when the other secret is not needed any more. */
  putAway: () => void
}

/** Goes over everything and tells how far it is. */
const createWalk = (
  deps: { stores: Pick<Stores, 'notify' | 'transfer'>; vault: Vault; clock: Clock; log: Log },
  secretFiles: SecretFiles,
  ending: AbortSignal,
) => {
  const { stores, vault, clock, log } = deps
  const tables = createSealedTables(stores.notify, vault, clock)
  let state = IDLE

  const walkTable = async <T extends SealedTableName & TableName>(name: T): Promise<void> => {
    const reencrypt: Reencrypt<Records[T]> = tables[name]
    state = { ...state, table: name }
    for await (const { records } of stores.transfer.read[name].read({ now: clock.now() })) {
      for (let at = 0; at < records.length; at += BATCH_SIZE) {
        if (ending.aborted) throw new Error('The server is stopping')
        const found = await Promise.all(records.slice(at, at + BATCH_SIZE).map(reencrypt))
        const count = (what: string) => found.filter((one) => one === what).length
        state = {
          ...state,
          seen: state.seen + found.length,
          resealed: state.resealed + count('other'),
          left: state.left + count('other'),
          unreadable: state.unreadable + count('unreadable'),
        }
      }
    }
  }

  /** Returns true when nothing is left that needs the other secret. */
  const walkOnce = async (round: number): Promise<boolean> => {
    state = { ...state, round, seen: 0, left: 0, unreadable: 0 }
    await walkTable('serverKeys')
    await walkTable('project')
    await walkTable('app')
    await walkTable('account')
    await walkTable('outbox')
    if (state.unreadable > 0) throw new Error(`${state.unreadable} records open with no known secret`)
    if (state.left > 0) return false
    // Somebody may have made another secret meanwhile: then the one that is called previous is ours.
    if (!secretFiles.isPresent()) throw new ProtocolError('former_secret')
    secretFiles.putAway()
    state = { ...state, isDone: true }
    log.info({ resealed: state.resealed }, 'Everything is sealed with the present secret')
    return true
  }

  return {
    state: () => state,
    update(change: Partial<ReencryptionState>): void {
      state = { ...state, ...change }
    },
    async run(): Promise<void> {
      for (let round = 1; round <= MAX_ROUNDS; round++) {
        if (await walkOnce(round)) return
        await pause(clock, ROUND_PAUSE_MS, ending)
      }
      throw new Error('Other processes go on sealing with the other secret')
    },
  }
}

export const createReencryption = (
  deps: { stores: Pick<Stores, 'notify' | 'transfer'>; vault: Vault; clock: Clock; log: Log },
  secretFiles: SecretFiles,
): Reencryption => {
  const ending = new AbortController()
  const walk = createWalk(deps, secretFiles, ending.signal)
  let running: Promise<void> = Promise.resolve()
  return {
    begin() {
      if (walk.state().isRunning) return
      if (!secretFiles.isPresent()) throw new ProtocolError('former_secret')
      walk.update({ ...IDLE, isRunning: true })
      running = walk
        .run()
        .catch((err: unknown) => {
          deps.log.error({ err }, 'What is kept could not be sealed anew')
          walk.update({ error: err instanceof Error ? err.message : 'it failed' })
        })
        .finally(() => walk.update({ isRunning: false, table: null }))
    },
    state: walk.state,
    async [Symbol.asyncDispose]() {
      ending.abort()
      await running
    },
  }
}
