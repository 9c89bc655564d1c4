/**
 * Seals everything that is kept with the present secret, so that the one before it is needed no more.
 *
 * It goes over whole tables and touches only what is still sealed with the other secret, each record replaced if it is
 * still what was read; so it may be cut off anywhere, begun again, and done by several processes at once. A round that
 * had something to do is followed by another one, because others were at work meanwhile: only a round that finds
 * nothing says that the other secret is not needed.
 *
 * `createTable` below is the one list of what is sealed. Another sealed thing is one more entry there.
 */

import type { Vault } from '../../notify/apps/vault.ts'
import type { Sealed, Subscription, Watcher } from '../../notify/store/store.ts'
import type { Webhook } from '../../notify/store/webhooks.ts'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Stores } from '../../storage/stores.ts'
import type { Records, TableName } from '../../storage/transfer/transfer.ts'

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

type Tables = 'serverKeys' | 'project' | 'app' | 'account' | 'outbox'
/** Seals what the record holds anew, where that is due; answers what it found. */
type Reseal<R> = (record: R) => Promise<'present' | 'other' | 'unreadable'>

/** Records at once: the engines group what is asked for in one turn. */
const AT_ONCE = 64
const ROUNDS = 10
/** Somebody else may be changing the same record. */
const ATTEMPTS = 20
/** Between two rounds, ms: what was under way with the other secret comes to its end. */
const BREATH = 1_000

const createTable = (
  { notify }: Pick<Stores, 'notify'>,
  vault: Vault,
  clock: Clock,
): { [T in Tables]: Reseal<Records[T]> } => {
  /** Whether any of these is due. Throws when one does not open. */
  const isDue = (all: readonly Sealed[]) => all.some((sealed) => vault.reseal(sealed) !== undefined)
  const anew = (sealed: Sealed): Sealed => vault.reseal(sealed) ?? sealed

  /** `change` answers true when it has found nobody faster. */
  const insist = async (change: () => Promise<boolean>): Promise<void> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (await change()) return
  }

  const looked =
    <R>(sealedIn: (record: R) => readonly Sealed[], replace: (record: R) => Promise<void>): Reseal<R> =>
    async (record) => {
      let due: boolean
      try {
        due = isDue(sealedIn(record))
      } catch {
        return 'unreadable'
      }
      if (!due) return 'present'
      await replace(record)
      return 'other'
    }

  /** A former secret that signs no more is opened by nobody, whatever it is sealed with. */
  const lookAtWebhooks = looked(
    ({ webhooks }: { projectId: string; webhooks: readonly Webhook[] }) =>
      webhooks.flatMap(({ secret, previous }) =>
        previous && previous.until > clock.now() ? [secret, previous.secret] : [secret],
      ),
    ({ projectId }) =>
      insist(async () => {
        const { version, webhooks: kept } = await notify.webhooks(projectId)
        const now = clock.now()
        const webhooks = kept.map(
          ({ previous, ...webhook }): Webhook => ({
            ...webhook,
            secret: anew(webhook.secret),
            ...(previous &&
              previous.until > now && { previous: { ...previous, secret: anew(previous.secret) } }),
          }),
        )
        return notify.commitWebhooks({ projectId, expectedVersion: version, webhooks })
      }),
  )

  return {
    serverKeys: looked(
      ({ keys }) => Object.values(keys),
      () =>
        insist(async () => {
          const kept = await notify.keptServerKeys()
          if (!kept) return true
          const next = Object.fromEntries(Object.entries(kept).map(([name, sealed]) => [name, anew(sealed)]))
          return notify.swapServerKeys(kept, next)
        }),
    ),
    /** What is sealed of a project is what its webhooks' calls are signed with. */
    project: async ({ id }) =>
      lookAtWebhooks({ projectId: id, webhooks: (await notify.webhooks(id)).webhooks }),
    app: looked(
      (app) =>
        [app, ...(app.previousKeys ?? [])].flatMap((keys) => [
          keys.authenticationSeed,
          keys.subscribePrivateKey,
        ]),
      ({ domain }) =>
        insist(async () => {
          const kept = await notify.app(domain)
          if (!kept) return true
          const keysAnew = <K extends { authenticationSeed: Sealed; subscribePrivateKey: Sealed }>(
            keys: K,
          ): K => ({
            ...keys,
            authenticationSeed: anew(keys.authenticationSeed),
            subscribePrivateKey: anew(keys.subscribePrivateKey),
          })
          const { previousKeys } = kept
          const next = {
            ...keysAnew(kept),
            ...(previousKeys && { previousKeys: previousKeys.map(keysAnew) }),
          }
          return notify.swapApp(kept, next)
        }),
    ),
    /** Subscriptions' and watchers' keys. */
    account: looked(
      ({ record }) => [...record.subscriptions, ...record.watchers].map(({ key }) => key),
      ({ accountKey }) =>
        insist(async () => {
          const { version, record } = await notify.account(accountKey)
          if (version === 0) return true
          const keyAnew = <H extends Subscription | Watcher>(held: H): H => ({ ...held, key: anew(held.key) })
          const next = {
            subscriptions: record.subscriptions.map(keyAnew),
            watchers: record.watchers.map(keyAnew),
          }
          const commit = { accountKey, expectedVersion: version, record: next, outbox: [] }
          return (await notify.commit(commit)) !== 'conflict'
        }),
    ),
    /** Answers that wait for the relay. */
    outbox: looked(
      ({ entry: { task } }) => (task.kind === 'response' ? [task.key] : []),
      async ({ entry: { id, task } }) => {
        if (task.kind === 'response') await notify.swapAnswerKey(id, task.key, anew(task.key))
      },
    ),
  }
}

const IDLE: ReencryptionState = {
  ...{ isRunning: false, round: 0, table: null, seen: 0, resealed: 0, left: 0, unreadable: 0 },
  ...{ isDone: false, error: null },
}

export const createReencryption = (
  deps: { stores: Pick<Stores, 'notify' | 'transfer'>; vault: Vault; clock: Clock; log: Log },
  secretFiles: {
    /** Whether the next start would take the secret that this process seals with. */
    isPresent: () => boolean
    /** Called when the other secret is not needed any more. */
    putAway: () => void
  },
): Reencryption => {
  const { stores, vault, clock, log } = deps
  const table = createTable(stores, vault, clock)
  const ending = new AbortController()
  let state = IDLE
  let running: Promise<void> = Promise.resolve()

  const goOver = async <T extends Tables & TableName>(name: T): Promise<void> => {
    const reseal: Reseal<Records[T]> = table[name]
    state = { ...state, table: name }
    for await (const { records } of stores.transfer.read[name].read({ now: clock.now() })) {
      for (let at = 0; at < records.length; at += AT_ONCE) {
        if (ending.signal.aborted) throw new Error('The server is stopping')
        const found = await Promise.all(records.slice(at, at + AT_ONCE).map(reseal))
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

  const run = async (): Promise<void> => {
    for (let round = 1; round <= ROUNDS; round++) {
      state = { ...state, round, seen: 0, left: 0, unreadable: 0 }
      await goOver('serverKeys')
      await goOver('project')
      await goOver('app')
      await goOver('account')
      await goOver('outbox')
      if (state.unreadable > 0) throw new Error(`${state.unreadable} records open with no known secret`)
      if (state.left === 0) {
        // Somebody may have made another secret meanwhile: then the one that is called previous is ours.
        if (!secretFiles.isPresent()) throw new ProtocolError('former_secret')
        secretFiles.putAway()
        state = { ...state, isDone: true }
        log.info({ resealed: state.resealed }, 'Everything is sealed with the present secret')
        return
      }
      await pause(clock, BREATH, ending.signal)
    }
    throw new Error('Other processes go on sealing with the other secret')
  }

  return {
    begin() {
      if (state.isRunning) return
      if (!secretFiles.isPresent()) throw new ProtocolError('former_secret')
      state = { ...IDLE, isRunning: true }
      running = run()
        .catch((err: unknown) => {
          log.error({ err }, 'What is kept could not be sealed anew')
          state = { ...state, error: err instanceof Error ? err.message : 'it failed' }
        })
        .finally(() => {
          state = { ...state, isRunning: false, table: null }
        })
    },
    state: () => state,
    async [Symbol.asyncDispose]() {
      ending.abort()
      await running
    },
  }
}
