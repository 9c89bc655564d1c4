/**
 * What apps say of themselves: those that the server lists, and those that the account subscribes to, whether listed or not.
 * It is kept on the device, so that their names are known without the server.
 */
import { type ReadonlySignal, signal } from '@preact/signals'
import * as z from 'zod'
import { type ErrorCode, ProtocolError } from '../../../sdk/wallet.ts'
import type { Database } from './database.ts'

const PAGE_SIZE = 100
/** More than a person looks through. */
const MAX_KEPT = 1_000
const REQUEST_TIMEOUT_MS = 15_000

const appType = z.object({ id: z.string(), name: z.string(), description: z.string() })
const app = z.object({
  domain: z.string(),
  name: z.string(),
  description: z.string(),
  /** Undefined: the server was not asked yet. */
  types: z.array(appType).optional(),
})
export type App = z.output<typeof app>

const about = { id: z.string(), name: z.string(), description: z.string() }
const listing = z.object({ projects: z.record(z.string(), z.object(about)), count: z.number() })
const declaration = z.object({ data: z.object({ ...about, notificationTypes: z.array(appType) }) })

export interface Apps {
  /** By domain. */
  readonly known: ReadonlySignal<ReadonlyMap<string, App>>
  /** Domains that the server lists, in its order, as far as they were read. */
  readonly listed: ReadonlySignal<readonly string[]>
  readonly hasMore: ReadonlySignal<boolean>
  /** Whether the server has said since the page was opened which apps it lists. */
  readonly isRead: ReadonlySignal<boolean>
  /** Reads the next page of the list; from its start with `anew`. Throws what the server answers, or `unavailable`. */
  list(anew?: boolean): Promise<void>
  /** Asks for the types of an app. Throws `unknown_app`, or `unavailable`. */
  describe(domain: string): Promise<App>
  nameOf(domain: string): string
}

const fetchParsed = async <T>(path: string, schema: z.ZodType<T>): Promise<T> => {
  const answer = await fetch(path, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }).catch(
    (cause: unknown) => {
      throw new ProtocolError('unavailable', undefined, { cause })
    },
  )
  const code: ErrorCode = answer.status === 404 || answer.status === 422 ? 'unknown_app' : 'unavailable'
  if (!answer.ok) throw new ProtocolError(code)
  const parsed = schema.safeParse(await answer.json().catch(() => undefined))
  if (parsed.success) return parsed.data
  throw new ProtocolError('unavailable', 'the server answered something else')
}

export const createApps = async (database: Database): Promise<Apps> => {
  const kept = z.array(app).safeParse(await database.setting('apps')).data ?? []
  const known = signal<ReadonlyMap<string, App>>(new Map(kept.map((one) => [one.domain, one])))
  const listed = signal<readonly string[]>([])
  const isRead = signal(false)
  const hasMore = signal(false)

  const keep = async (apps: readonly App[]): Promise<void> => {
    const next = new Map(known.value)
    for (const one of apps) {
      const types = one.types ?? next.get(one.domain)?.types
      next.delete(one.domain)
      next.set(one.domain, { ...one, ...(types && { types }) })
    }
    known.value = new Map([...next].slice(-MAX_KEPT))
    await database.setSetting('apps', [...known.value.values()])
  }

  return {
    known,
    listed,
    hasMore,
    isRead,
    async list(anew = false) {
      const page = anew ? 1 : Math.floor(listed.value.length / PAGE_SIZE) + 1
      const path = `/w3i/v1/projects?entries=${PAGE_SIZE}&page=${page}`
      const { projects, count: all } = await fetchParsed(path, listing)
      const found = Object.values(projects).map(({ id, name, description }) => ({
        domain: id,
        name,
        description,
      }))
      const before = anew ? [] : listed.value
      listed.value = [...new Set([...before, ...found.map(({ domain }) => domain)])]
      isRead.value = true
      hasMore.value = found.length === PAGE_SIZE && listed.value.length < all
      await keep(found)
    },
    async describe(domain) {
      const path = `/w3i/v1/notify-config?${new URLSearchParams({ appDomain: domain })}`
      const { data } = await fetchParsed(path, declaration)
      const { id, name, description, notificationTypes: types } = data
      const described = { domain: id, name, description, types }
      await keep([described])
      return described
    },
    nameOf: (domain) => known.value.get(domain)?.name || domain,
  }
}
