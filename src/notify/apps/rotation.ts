/**
 * Replaces keys: the server's pair, an app's pair.
 *
 * Wallets cache public keys for as long as they run, so a replaced pair goes on to count for a while: its request topic
 * is served, what is addressed to it is answered, did.json lists it behind the new one. At the end, or at once with an
 * overlap of 0 (older ones, too), the topic is left on the relay and the private keys are dropped from the store.
 *
 * Each step bears being cut off. The new topic is joined before anybody can know it; the swap in the store is the moment
 * of change, for all processes; former keys are dropped only when their topic has been left, by whoever sweeps next.
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import { toHex } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { generateAgreementKey, generateSigningKey } from '../../protocol/keys.ts'
import { topicOf } from '../../protocol/topic.ts'
import type { AppRecord, NotifyStore, PreviousAppKeys } from '../store/store.ts'
import { formerEnds, freshPair, keptPair, type ServerKeys, withoutPair, withPair } from './server-keys.ts'
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
  /** Drops the pairs whose time is over. */
  sweep(): Promise<void>
}

const PAGE = 500
/** Somebody else may be rotating, sealing anew or describing the app. */
const ATTEMPTS = 20

export const createRotation = (deps: {
  store: Pick<NotifyStore, 'storedServerKeys' | 'swapServerKeys' | 'swapApp' | 'app' | 'apps'>
  vault: Pick<Vault, 'seal' | 'open'>
  serverKeys: Pick<ServerKeys, 'refresh'>
  clock: Clock
  /** Subscribes the notify server to a topic; resolves when the relay has it. */
  join: (topic: string) => Promise<void>
  leave: (topic: string) => Promise<void>
}): Rotation => {
  const { store, vault, serverKeys, clock, join, leave } = deps

  /** Tries until `change` has found nobody faster. */
  const insist = async <T>(change: () => Promise<T | undefined>): Promise<T> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const done = await change()
      if (done !== undefined) return done
    }
    throw new ProtocolError('unavailable', 'the keys are changing too fast')
  }

  const sweepServer = async (): Promise<void> => {
    const kept = await store.storedServerKeys()
    for (const until of kept ? formerEnds(kept) : []) {
      if (!kept || until > clock.now()) continue
      await leave(topicOf(keptPair(vault, kept, until).subscribe.publicKey))
      await insist(async () => {
        const now = await store.storedServerKeys()
        const name = `${until}.subscribe`
        // Another one under this name is for the next sweep.
        if (now?.[name] !== kept[name]) return true
        return !now || (await store.swapServerKeys(now, withoutPair(now, until))) || undefined
      })
    }
    await serverKeys.refresh()
  }

  const sweepApp = async (record: AppRecord): Promise<void> => {
    const isOver = ({ until }: PreviousAppKeys) => until <= clock.now()
    const over = (record.previousKeys ?? []).filter(isOver)
    if (over.length === 0) return
    for (const { subscribeTopic } of over) await leave(subscribeTopic)
    const topics = over.map(({ subscribeTopic }) => subscribeTopic)
    await insist(async () => {
      const now = await store.app(record.domain)
      if (!now) return true
      const { previousKeys = [], ...rest } = now
      const left = previousKeys.filter(({ subscribeTopic }) => !topics.includes(subscribeTopic))
      const next = left.length > 0 ? { ...rest, previousKeys: left } : rest
      return (await store.swapApp(now, next)) || undefined
    })
  }

  const rotated = ({ authenticationKey, subscribeKey }: Omit<Rotated, 'until'>, until: number): Rotated => ({
    authenticationKey,
    subscribeKey,
    until,
  })

  return {
    async server(overlap) {
      const pair = freshPair(vault)
      const { authentication, subscribe } = keptPair(vault, pair)
      await join(topicOf(subscribe.publicKey))
      const until = await insist(async () => {
        const kept = await store.storedServerKeys()
        if (!kept) throw new Error('There are no server keys yet')
        const end = clock.now() + overlap
        return (await store.swapServerKeys(kept, withPair(kept, pair, end))) ? end : undefined
      })
      await serverKeys.refresh()
      if (overlap === 0) await sweepServer()
      const authenticationKey = toHex(authentication.publicKey)
      return rotated({ authenticationKey, subscribeKey: toHex(subscribe.publicKey) }, until)
    },

    async app(domain, overlap) {
      const authentication = generateSigningKey()
      const subscribe = generateAgreementKey()
      const present = {
        authenticationSeed: vault.seal(authentication.seed),
        authenticationKey: toHex(authentication.publicKey),
        subscribePrivateKey: vault.seal(subscribe.privateKey),
        subscribeKey: toHex(subscribe.publicKey),
        subscribeTopic: topicOf(subscribe.publicKey),
      }
      if (!(await store.app(domain))) throw new ProtocolError('unknown_app', domain)
      await join(present.subscribeTopic)
      const { next, until } = await insist(async () => {
        const kept = await store.app(domain)
        if (!kept) throw new ProtocolError('unknown_app', domain)
        const { authenticationSeed, authenticationKey, subscribePrivateKey, subscribeKey, subscribeTopic } =
          kept
        const until = clock.now() + overlap
        const former = {
          authenticationSeed,
          authenticationKey,
          subscribePrivateKey,
          subscribeKey,
          subscribeTopic,
          until,
        }
        // None counts for longer than its successor: who allows no overlap is rid of all of them.
        const older = (kept.previousKeys ?? []).map((keys) => ({
          ...keys,
          until: Math.min(keys.until, until),
        }))
        const next = { ...kept, ...present, previousKeys: [former, ...older] }
        return (await store.swapApp(kept, next)) ? { next, until } : undefined
      })
      if (overlap === 0) await sweepApp(next)
      return rotated(present, until)
    },

    async sweep() {
      await sweepServer()
      for (let after: string | undefined; ; ) {
        const page = await store.apps({ limit: PAGE, ...(after !== undefined && { after }) })
        for (const record of page) await sweepApp(record)
        after = page.at(-1)?.domain
        if (page.length < PAGE) return
      }
    },
  }
}
