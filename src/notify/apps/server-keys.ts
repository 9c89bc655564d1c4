/**
 * The notify server's own keys.
 *
 * Authentication and subscribe keys are a pair, made together and replaced together (`rotation`); wallets cache them, so
 * that replaced pairs go on to count until a stated time. Which key signs what is in `outbox/signed-messages`.
 *
 * The relay key is made once and kept for ever. It is no key that anybody trusts in, but the name under which the relay
 * holds the subscriptions to every topic and what waits there for us: under a new name all of that would have to be
 * joined anew, a million topics, with nothing gained, because the relay admits whoever proves to have some key. Who has
 * got hold of it can take our messages away from our mailbox, but reads none; then start over on a new store.
 *
 * **Root.** Some things follow from the first secret that this store was used with: the projects' derived secrets, the
 * default project's id, the relay's signing key (`server/config/secrets`). They stay what they are when BELFRY_SECRET changes,
 * because that first one is kept here, sealed like everything else.
 *
 * | kept as                                   | what                                                      |
 * |-------------------------------------------|-----------------------------------------------------------|
 * | `authentication`, `subscribe`             | the present pair                                          |
 * | `<until>.authentication`, `<until>.subscribe` | a former pair, and until when it counts, unix ms      |
 * | `relay`                                   | the client id on the relay                                |
 * | `root`                                    | the first secret                                          |
 */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { Log } from '../../platform/telemetry.ts'
import {
  agreementKeyFrom,
  generateAgreementKey,
  generateSigningKey,
  type SigningKey,
  signingKeyFrom,
} from '../../protocol/keys.ts'
import type { NotifyStore, Sealed } from '../store/store.ts'
import type { KeyRing, Keys } from './key-ring.ts'
import type { Vault } from './vault.ts'

/** They may be replaced at any time: ask for a key when you need it. */
export interface ServerKeys extends KeyRing {
  /** Ed25519: who the server is on the relay. */
  readonly relay: SigningKey
  /** The first secret of this store. */
  readonly root: Uint8Array
  /** Looks whether another process has replaced them. */
  refresh(): Promise<void>
}

const PAIR = ['authentication', 'subscribe'] as const
type Kept = Record<string, Sealed>

/** When the former pairs end, the newest pair first. */
export const formerEnds = (kept: Kept): number[] =>
  Object.keys(kept)
    .flatMap((name) => /^(\d+)\.subscribe$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => b - a)

export const freshPair = (vault: Pick<Vault, 'seal'>): Record<(typeof PAIR)[number], Sealed> => ({
  authentication: vault.seal(generateSigningKey().seed),
  subscribe: vault.seal(generateAgreementKey().privateKey),
})

const open = (vault: Pick<Vault, 'open'>, sealed: Sealed | undefined): Uint8Array => {
  if (sealed === undefined) throw new Error('The store holds no complete set of server keys')
  return vault.open(sealed)
}

/** The present pair, or the one that ends then. */
export const storedPair = (vault: Pick<Vault, 'open'>, kept: Kept, until?: number): Keys => {
  const name = (key: string) => (until === undefined ? key : `${until}.${key}`)
  return {
    authentication: signingKeyFrom(open(vault, kept[name('authentication')])),
    subscribe: agreementKeyFrom(open(vault, kept[name('subscribe')])),
  }
}

/**
 * `kept` with another present pair. The one before counts until `until`, and none that is older for longer than its
 * successor: so who allows no overlap is rid of all of them. Pairs are told apart by their ends.
 */
export const withPair = (kept: Kept, next: Kept, until: number): Kept => {
  const ends = formerEnds(kept)
  const alone = ends.reduce(withoutPair, kept)
  const former: Kept = {}
  let last = until + 1
  for (const end of [undefined, ...ends]) {
    last = Math.min(end ?? until, last - 1)
    for (const key of PAIR) {
      const sealed = kept[end === undefined ? key : `${end}.${key}`]
      if (sealed !== undefined) former[`${last}.${key}`] = sealed
    }
  }
  return { ...alone, ...former, ...next }
}

export const withoutPair = (kept: Kept, until: number): Kept =>
  Object.fromEntries(Object.entries(kept).filter(([name]) => !name.startsWith(`${until}.`)))

/** Reads the keys, or makes them; of several processes that start at once all get the same. `secret`: the present one. */
export const loadServerKeys = async (deps: {
  store: Pick<NotifyStore, 'serverKeys' | 'storedServerKeys' | 'swapServerKeys'>
  vault: Vault
  clock: Clock
  secret: Uint8Array
}): Promise<ServerKeys> => {
  const { store, vault, clock, secret } = deps

  const rooted = async (): Promise<Kept> => {
    for (;;) {
      const kept = await store.serverKeys({
        ...freshPair(vault),
        relay: vault.seal(generateSigningKey().seed),
        root: vault.seal(secret),
      })
      if (kept.root !== undefined) return kept
      // From before there was one: what opens them is the only secret that this store has known.
      const root = vault.seal(kept.relay === undefined ? secret : vault.secretOf(kept.relay))
      if (await store.swapServerKeys(kept, { ...kept, root })) return { ...kept, root }
    }
  }

  const read = (kept: Kept) => ({
    names: JSON.stringify(kept),
    ...storedPair(vault, kept),
    former: formerEnds(kept).map((until) => ({ until, ...storedPair(vault, kept, until) })),
  })
  const first = await rooted()
  const relay = signingKeyFrom(open(vault, first.relay))
  const root = open(vault, first.root)
  let held = read(first)

  return {
    relay,
    root,
    get authentication() {
      return held.authentication
    },
    get subscribe() {
      return held.subscribe
    },
    get previous() {
      const now = clock.now()
      return held.former.filter(({ until }) => until > now)
    },
    async refresh() {
      const kept = await store.storedServerKeys()
      if (kept && JSON.stringify(kept) !== held.names) held = read(kept)
    },
  }
}

/** How soon a process follows when another one has replaced the keys, ms. */
const REFRESH_INTERVAL_MS = 2_000

export const keepFresh = (deps: {
  serverKeys: Pick<ServerKeys, 'refresh'>
  clock: Clock
  log: Log
}): Disposable => {
  const { serverKeys, clock, log } = deps
  let isOver = false
  let next: Disposable | undefined
  const plan = () => {
    if (isOver) return
    next = clock.after(REFRESH_INTERVAL_MS, () => {
      serverKeys
        .refresh()
        .catch((err: unknown) => log.debug({ err }, 'The keys could not be looked at; trying again'))
        .finally(plan)
    })
  }
  plan()
  return {
    [Symbol.dispose]() {
      isOver = true
      next?.[Symbol.dispose]()
    },
  }
}
