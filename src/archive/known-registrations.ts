/**
 * What this process knows of the archive's registrations: which tags anybody registered, and what each client did. It is
 * read from the store, relied upon for ten seconds, and changed at once by what is announced meanwhile.
 *
 * Where more tags are registered than are remembered, every tag counts as one that may be.
 */
import { invariant } from '../platform/invariant.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { ArchiveStore, Registration } from './store.ts'

/** What a client has registered. */
export interface ClientRegistration {
  tags: ReadonlySet<number>
  owners: Readonly<Record<string, string>>
}
const NOTHING: ClientRegistration = { tags: new Set(), owners: {} }

/** How long what is known is relied upon, should the announcement of a change be lost. */
export const REGISTRATION_CACHE_MS = 10_000
/** Clients that are remembered; one that has registered something counts for eight, as it needs some KiB. */
const MAX_CACHE_WEIGHT = 50_000
const REGISTERED_WEIGHT = 8
const MAX_TAGS = 4_096

export interface KnownRegistrations {
  /** Whether the tags that are known may still be relied upon. */
  areTagsFresh(): boolean
  /** Reads the tags anew; of several calls at once one does. */
  readTags(): Promise<void>
  /** Whether anybody may have registered the tag. */
  isWanted(tag: number): boolean
  /** What each of the clients has registered, by client. */
  among(clientIds: Iterable<string>): Promise<Map<string, ClientRegistration>>
  /** A client has registered, here or in another process. */
  announce(registration: Pick<Registration, 'clientId' | 'tags'>): void
}

interface ClientCache {
  get(clientId: string, now: number): ClientRegistration | undefined
  set(clientId: string, registration: ClientRegistration, until: number): void
  delete(clientId: string): void
}

const weightOf = ({ tags, owners }: ClientRegistration): number =>
  tags.size > 0 || Object.keys(owners).length > 0 ? REGISTERED_WEIGHT : 1

/** Bounded by weight; the entries that were read first go first. */
const createClientCache = (): ClientCache => {
  const entries = new Map<string, ClientRegistration & { until: number }>()
  let weight = 0
  const remove = (clientId: string): void => {
    const entry = entries.get(clientId)
    if (!entry) return
    entries.delete(clientId)
    weight -= weightOf(entry)
    invariant(weight >= 0, 'the weight of the cached registrations is never negative')
  }
  return {
    get(clientId, now) {
      const entry = entries.get(clientId)
      return entry && entry.until > now ? entry : undefined
    },
    set(clientId, registration, until) {
      remove(clientId)
      entries.set(clientId, { ...registration, until })
      weight += weightOf(registration)
      for (const oldest of entries.keys()) {
        if (weight <= MAX_CACHE_WEIGHT) break
        remove(oldest)
      }
    },
    delete: remove,
  }
}

export const createKnownRegistrations = ({
  store,
  clock,
}: {
  store: Pick<ArchiveStore, 'tags' | 'registrations'>
  clock: Clock
}): KnownRegistrations => {
  const clients = createClientCache()
  let tags = { known: new Set<number>(), isAny: false, until: 0 }
  /** Tags that were announced since the tags are being read. */
  let announced = new Set<number>()
  let reading: Promise<void> | undefined
  /** Rises with every announcement, so that what was read before one is not cached. */
  let revision = 0

  const readTags = async (): Promise<void> => {
    const now = clock.now()
    announced = new Set()
    const listed = await store.tags(now, MAX_TAGS + 1)
    const isAny = listed.length > MAX_TAGS
    const known = new Set([...(isAny ? [] : listed), ...announced])
    tags = { known, isAny, until: now + REGISTRATION_CACHE_MS }
  }

  return {
    areTagsFresh: () => clock.now() < tags.until,
    readTags() {
      reading ??= readTags().finally(() => {
        reading = undefined
      })
      return reading
    },
    isWanted: (tag) => tags.isAny || tags.known.has(tag),

    async among(clientIds) {
      const now = clock.now()
      const found = new Map<string, ClientRegistration>()
      const unknown: string[] = []
      for (const clientId of new Set(clientIds)) {
        const entry = clients.get(clientId, now)
        if (entry) found.set(clientId, entry)
        else unknown.push(clientId)
      }
      if (unknown.length === 0) return found
      const before = revision
      const read = new Map<string, ClientRegistration>(unknown.map((clientId) => [clientId, NOTHING]))
      for (const { clientId, tags, owners } of await store.registrations(unknown, now))
        read.set(clientId, { tags: new Set(tags), owners })
      for (const [clientId, registration] of read) {
        found.set(clientId, registration)
        if (before === revision) clients.set(clientId, registration, now + REGISTRATION_CACHE_MS)
      }
      return found
    },

    announce({ clientId, tags: own }) {
      revision++
      for (const tag of own) {
        announced.add(tag)
        tags.known.add(tag)
      }
      clients.delete(clientId)
    },
  }
}
