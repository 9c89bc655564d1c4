/**
 * A wallet's device: its keys, what it knows of the account, and which notifications it has seen. All of it survives a
 * restart as the plain JSON of `client/wallet/state.ts`.
 */
import { createNextRun } from '../../../platform/concurrency/next-run.ts'
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { agreementKeyFrom, deriveSymKey, type SigningKey, signingKeyFrom } from '../../../protocol/keys.ts'
import { topicOf } from '../../../protocol/topic.ts'
import type { PublicKeys } from '../app-keys.ts'
import { createSubscriptions, freshState, readState, type WalletState } from './state.ts'

/** The ids of the last notifications, so that none is delivered twice. */
const MAX_SEEN = 5_000

interface DeviceOptions {
  account: string
  state: unknown
  save: ((state: WalletState) => void | Promise<void>) | undefined
  /** A failed `save` rejects, too; not everybody waits for it. */
  onSaveFailed: (error: unknown) => void
}

/** Ids of notifications that were delivered to the listeners. */
const createSeen = (restored: readonly string[], changed: () => void) => {
  const seen = new Set(restored)
  return {
    all: (): string[] => [...seen],
    has: (id: string): boolean => seen.has(id),
    add(id: string): void {
      seen.add(id)
      changed()
      const [oldest] = seen
      if (seen.size > MAX_SEEN && oldest !== undefined) seen.delete(oldest)
    },
  }
}

/** The watch of the account at the notify server. */
const createDeviceWatch = (state: WalletState) => {
  const watchPair = agreementKeyFrom(fromHex(state.watchKey))
  return {
    watchPair,
    /** The key and topic of the watch; undefined while the device does not watch. */
    watchedWith(): { key: Uint8Array; topic: string } | undefined {
      if (!state.server) return undefined
      const key = deriveSymKey(watchPair.privateKey, fromHex(state.server.subscribe))
      return { key, topic: topicOf(key) }
    },
    watchAt(server: PublicKeys): void {
      state.server = { subscribe: toHex(server.subscribe), authentication: server.authentication }
    },
  }
}

/**
 * Keys of the topics on which answers come, while they are awaited. The subscription of a topic may end meanwhile: what
 * the server tells of the account may overtake its answer.
 */
const createAnswerKeys = () => {
  const awaited = new Set<{ topic: string; key: Uint8Array }>()
  const keyOf = (topic: string): Uint8Array | undefined =>
    [...awaited].find((one) => one.topic === topic)?.key
  return {
    keyOf,
    isAwaitedOn: (topic: string): boolean => keyOf(topic) !== undefined,
    /** Answers on this topic can be decrypted until the result is disposed of. */
    expect(topic: string, key: Uint8Array): Disposable {
      const one = { topic, key }
      awaited.add(one)
      return { [Symbol.dispose]: () => void awaited.delete(one) }
    },
  }
}

/**
 * Saves one state after the other; what changes during a save is in the next one, whoever waits for it. A save that fails
 * rejects, and is told of besides: its changes stay unsaved, and the next one has them.
 */
const createSaving = (
  { save, onSaveFailed }: Pick<DeviceOptions, 'save' | 'onSaveFailed'>,
  exported: () => WalletState,
) => {
  let changes = 0
  let savedChanges = 0
  const { run } = createNextRun(async () => {
    const now = changes
    if (now === savedChanges) return
    try {
      await save?.(exported())
      savedChanges = now
    } catch (error) {
      onSaveFailed(error)
      throw error
    }
  })
  return {
    changed: (): void => void changes++,
    /** Resolves when all that has changed is saved; saves nothing where nothing has. */
    save: run,
  }
}

export const createDevice = (
  { account, state: restored, ...saving }: DeviceOptions,
  randomBytes: (length: number) => Uint8Array,
) => {
  const state = restored === undefined ? freshState(account, randomBytes) : readState(restored, account)
  const subscriptions = createSubscriptions(account, state.subscriptions)
  const seen = createSeen(state.seen, () => changed())
  const watch = createDeviceWatch(state)
  const answerKeys = createAnswerKeys()
  let identity = signingKeyFrom(fromHex(state.identitySeed))

  const exported = (): WalletState => ({ ...state, subscriptions: subscriptions.items(), seen: seen.all() })
  const { changed, save } = createSaving(saving, exported)

  return {
    account,
    relayKey: signingKeyFrom(fromHex(state.clientSeed)),
    subscriptions,
    ...watch,
    get identity(): SigningKey {
      return identity
    },
    /** did:key of the notify server's signing key; undefined while the device does not watch. */
    get server(): string | undefined {
      return state.server?.authentication
    },
    isRegisteredFor: (what: string): boolean => state.registeredFor === what,
    isRegistered: (): boolean => state.registeredFor !== null,
    async registered(what: string): Promise<void> {
      state.registeredFor = what
      changed()
      await save()
    },
    unregistered(): void {
      state.registeredFor = null
      changed()
    },
    /** Every topic that messages come on. */
    topics(): string[] {
      const watched = watch.watchedWith()
      return [...subscriptions.topics(), ...(watched ? [watched.topic] : [])]
    },
    keyOf(topic: string): Uint8Array | undefined {
      const item = subscriptions.onTopic(topic)
      if (item) return fromHex(item.symKey)
      const answer = answerKeys.keyOf(topic)
      if (answer) return answer
      const watched = watch.watchedWith()
      return watched?.topic === topic ? watched.key : undefined
    },
    expectAnswer: answerKeys.expect,
    isAnswerAwaitedOn: answerKeys.isAwaitedOn,
    hasSeen: seen.has,
    sees: seen.add,
    /** Forgets the account. The identity key is replaced, because a revoked one stays revoked. */
    async forget(): Promise<void> {
      subscriptions.clear()
      state.server = null
      state.registeredFor = null
      state.identitySeed = toHex(randomBytes(32))
      identity = signingKeyFrom(fromHex(state.identitySeed))
      changed()
      await save()
    },
    export: exported,
    /** What is changed through `subscriptions` and `watchAt` is to be saved. */
    changed,
    save,
  }
}

export type Device = ReturnType<typeof createDevice>
