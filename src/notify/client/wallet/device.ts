/**
 * A wallet's device: its keys, what it knows of the account, and what it has seen. All of it survives a restart as the
 * plain JSON of `client/wallet/state.ts`.
 */
import { fromHex, toHex } from '../../../protocol/bytes.ts'
import { agreementKeyFrom, deriveSymKey, type SigningKey, signingKeyFrom } from '../../../protocol/keys.ts'
import { topicOf } from '../../../protocol/topic.ts'
import type { PublicKeys } from '../app-keys.ts'
import { createSubscriptions, freshState, readState, type WalletState } from './state.ts'

/** Ids of notifications that are remembered. */
const SEEN = 5_000

export const createDevice = (
  {
    account,
    state: restored,
    save: saveTo,
  }: {
    account: string
    state: unknown
    save: ((state: WalletState) => void | Promise<void>) | undefined
  },
  randomBytes: (length: number) => Uint8Array,
) => {
  const state = restored === undefined ? freshState(account, randomBytes) : readState(restored, account)
  const subscriptions = createSubscriptions(account, state.subscriptions)
  const seen = new Set(state.seen)
  const watchPair = agreementKeyFrom(fromHex(state.watchKey))
  let identity = signingKeyFrom(fromHex(state.identitySeed))
  /** Keys of the topics on which answers to subscribe requests come, while they are awaited. */
  const answerKeys = new Map<string, Uint8Array>()

  const exported = (): WalletState => ({ ...state, subscriptions: subscriptions.items(), seen: [...seen] })
  const save = async (): Promise<void> => {
    await saveTo?.(exported())
  }
  const watchedWith = (): { key: Uint8Array; topic: string } | undefined => {
    if (!state.server) return undefined
    const key = deriveSymKey(watchPair.privateKey, fromHex(state.server.subscribe))
    return { key, topic: topicOf(key) }
  }

  return {
    account,
    relayKey: signingKeyFrom(fromHex(state.clientSeed)),
    watchPair,
    subscriptions,
    get identity(): SigningKey {
      return identity
    },
    /** did:key of the notify server's signing key; undefined while the device does not watch. */
    get server(): string | undefined {
      return state.server?.authentication
    },
    /** The key and topic of the watch. */
    watchedWith,
    watchAt(server: PublicKeys): void {
      state.server = { subscribe: toHex(server.subscribe), authentication: server.authentication }
    },
    isRegisteredFor: (what: string): boolean => state.registeredFor === what,
    isRegistered: (): boolean => state.registeredFor !== null,
    async registered(what: string): Promise<void> {
      state.registeredFor = what
      await save()
    },
    unregistered(): void {
      state.registeredFor = null
    },
    /** Every topic that messages come on. */
    topics(): string[] {
      const watched = watchedWith()
      return [...subscriptions.topics(), ...(watched ? [watched.topic] : [])]
    },
    keyOf(topic: string): Uint8Array | undefined {
      const item = subscriptions.onTopic(topic)
      if (item) return fromHex(item.symKey)
      const answer = answerKeys.get(topic)
      if (answer) return answer
      const watched = watchedWith()
      return watched?.topic === topic ? watched.key : undefined
    },
    /** Until it is disposed of, answers on this topic are understood. */
    expectAnswer(topic: string, key: Uint8Array): Disposable {
      answerKeys.set(topic, key)
      return { [Symbol.dispose]: () => void answerKeys.delete(topic) }
    },
    hasSeen: (id: string): boolean => seen.has(id),
    sees(id: string): void {
      seen.add(id)
      const [oldest] = seen
      if (seen.size > SEEN && oldest !== undefined) seen.delete(oldest)
    },
    /** Forgets the account; the identity key is a new one, because one that was taken back stays so. */
    async forget(): Promise<void> {
      subscriptions.clear()
      state.server = null
      state.registeredFor = null
      state.identitySeed = toHex(randomBytes(32))
      identity = signingKeyFrom(fromHex(state.identitySeed))
      await save()
    },
    export: exported,
    save,
  }
}

export type Device = ReturnType<typeof createDevice>
