/**
 * Replaces key pairs: the server's, and those of apps.
 *
 * Wallets cache public keys for as long as they run, so a replaced pair goes on to count for a while: its request topic is
 * served, requests that are addressed to it are answered, did.json lists it behind the new one. At its end the topic is
 * left on the relay and the private keys are removed from the store. An overlap of 0 does that at once, for older pairs
 * too.
 *
 * Each step may be interrupted. The new topic is joined before anybody can know it. The swap in the store is the moment of
 * change for all processes. Former keys are removed only when their topic has been left, by the next sweep of any process.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { generateAgreementKey, generateSigningKey } from '../../protocol/keys.ts'
import { topicOf } from '../../protocol/topic.ts'
import { pagesOf } from '../pages.ts'
import type { AppRecord, NotifyStore, PreviousAppKeys } from '../store/store.ts'
import { formerEnds, freshPair, type ServerKeys, storedPair, withoutPair, withPair } from './server-keys.ts'
import type { Vault } from './vault.ts'

/** The new public keys, hex, and until when the former ones count, unix ms. */
export interface Rotated {
  authenticationKey: string
  subscribeKey: string
  until: number
}

export interface Rotation {
  /** `overlap` in ms. */
  server(overlap: number): Promise<Rotated>
  /** Throws `unknown_app`. */
  app(domain: string, overlap: number): Promise<Rotated>
  /** Removes the pairs that have ended. */
  sweep(): Promise<void>
}

const APP_PAGE_SIZE = 500
/** Another process may be rotating, re-encrypting or describing the app. */
const MAX_SWAP_ATTEMPTS = 20

interface Deps {
  store: Pick<NotifyStore, 'storedServerKeys' | 'swapServerKeys' | 'swapApp' | 'app' | 'apps'>
  vault: Pick<Vault, 'seal' | 'open'>
  serverKeys: Pick<ServerKeys, 'refresh'>
  clock: Clock
  /** Subscribes the notify server to a topic; resolves when the relay has it. */
  join: (topic: string) => Promise<void>
  leave: (topic: string) => Promise<void>
}

/** Calls `swap` until it has won the race against other changes; undefined means that it has lost. */
const retrySwap = async <T>(swap: () => Promise<T | undefined>): Promise<T> => {
  for (let attempt = 0; attempt < MAX_SWAP_ATTEMPTS; attempt++) {
    const done = await swap()
    if (done !== undefined) return done
  }
  throw new ProtocolError('unavailable', 'the keys are changing too fast')
}

/** Leaves the topics of ended server pairs and removes the pairs. */
const createServerSweep =
  ({ store, vault, serverKeys, clock, leave }: Omit<Deps, 'join'>) =>
  async (): Promise<void> => {
    const stored = await store.storedServerKeys()
    for (const until of stored ? formerEnds(stored) : []) {
      if (!stored || until > clock.now()) continue
      await leave(topicOf(storedPair(vault, stored, until).subscribe.publicKey))
      await retrySwap(async () => {
        const now = await store.storedServerKeys()
        const name = `${until}.subscribe`
        // Another pair under this name is for the next sweep.
        if (now?.[name] !== stored[name]) return true
        return !now || (await store.swapServerKeys(now, withoutPair(now, until))) || undefined
      })
    }
    await serverKeys.refresh()
  }

/** Leaves the topics of an app's ended pairs and removes the pairs. */
const createAppSweep =
  ({ store, clock, leave }: Pick<Deps, 'store' | 'clock' | 'leave'>) =>
  async (record: AppRecord): Promise<void> => {
    const ended = (record.previousKeys ?? []).filter(({ until }) => until <= clock.now())
    if (ended.length === 0) return
    for (const { subscribeTopic } of ended) await leave(subscribeTopic)
    const topics = ended.map(({ subscribeTopic }) => subscribeTopic)
    await retrySwap(async () => {
      const now = await store.app(record.domain)
      if (!now) return true
      const { previousKeys = [], ...rest } = now
      const left = previousKeys.filter(({ subscribeTopic }) => !topics.includes(subscribeTopic))
      const next = left.length > 0 ? { ...rest, previousKeys: left } : rest
      return (await store.swapApp(now, next)) || undefined
    })
  }

type NewAppKeys = Omit<PreviousAppKeys, 'until'>

const newAppKeys = (vault: Pick<Vault, 'seal'>): NewAppKeys => {
  const authentication = generateSigningKey()
  const subscribe = generateAgreementKey()
  return {
    authenticationSeed: vault.seal(authentication.seed),
    authenticationKey: toHex(authentication.publicKey),
    subscribePrivateKey: vault.seal(subscribe.privateKey),
    subscribeKey: toHex(subscribe.publicKey),
    subscribeTopic: topicOf(subscribe.publicKey),
  }
}

/** The record with new keys; its present ones become the newest former ones. */
const withNewKeys = (record: AppRecord, keys: NewAppKeys, until: number): AppRecord => {
  const { authenticationSeed, authenticationKey, subscribePrivateKey, subscribeKey, subscribeTopic } = record
  const former = {
    authenticationSeed,
    authenticationKey,
    subscribePrivateKey,
    subscribeKey,
    subscribeTopic,
    until,
  }
  // No pair counts for longer than its successor, so an overlap of 0 ends all of them.
  const older = (record.previousKeys ?? []).map((one) => ({ ...one, until: Math.min(one.until, until) }))
  return { ...record, ...keys, previousKeys: [former, ...older] }
}

export const createRotation = (deps: Deps): Rotation => {
  const { store, vault, serverKeys, clock, join } = deps
  const sweepServer = createServerSweep(deps)
  const sweepApp = createAppSweep(deps)

  return {
    async server(overlap) {
      const pair = freshPair(vault)
      const { authentication, subscribe } = storedPair(vault, pair)
      await join(topicOf(subscribe.publicKey))
      const until = await retrySwap(async () => {
        const stored = await store.storedServerKeys()
        if (!stored) throw new Error('There are no server keys yet')
        const end = clock.now() + overlap
        return (await store.swapServerKeys(stored, withPair(stored, pair, end))) ? end : undefined
      })
      await serverKeys.refresh()
      if (overlap === 0) await sweepServer()
      const authenticationKey = toHex(authentication.publicKey)
      return { authenticationKey, subscribeKey: toHex(subscribe.publicKey), until }
    },

    async app(domain, overlap) {
      const keys = newAppKeys(vault)
      if (!(await store.app(domain))) throw new ProtocolError('unknown_app', domain)
      await join(keys.subscribeTopic)
      const { next, until } = await retrySwap(async () => {
        const present = await store.app(domain)
        if (!present) throw new ProtocolError('unknown_app', domain)
        const end = clock.now() + overlap
        const rotated = withNewKeys(present, keys, end)
        return (await store.swapApp(present, rotated)) ? { next: rotated, until: end } : undefined
      })
      if (overlap === 0) await sweepApp(next)
      const { authenticationKey, subscribeKey } = keys
      return { authenticationKey, subscribeKey, until }
    },

    async sweep() {
      await sweepServer()
      const read = (page: { after?: string; limit: number }) => store.apps(page)
      for await (const page of pagesOf(APP_PAGE_SIZE, read, (app) => app.domain)) {
        for (const record of page) await sweepApp(record)
      }
    },
  }
}
