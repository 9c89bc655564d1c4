/**
 * Projects of push: whose wallets may register, and the credentials with which their devices are reached.
 *
 * The project `default` is always there; it is what wallets get whose server has one tenant. Web Push and UnifiedPush need no
 * credentials of a project: the server has a VAPID key of its own. Credentials are sealed at rest; what is shown of them is
 * named when they are set. Setting them anew ends the stop of a provider, and what waited goes out.
 */
import * as z from 'zod'
import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { ContentSeal } from '../platform/runtime/content-seal.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { toHex } from '../protocol/bytes.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { PUSH_LIMITS } from './limits.ts'
import { ApnsCredentials, apnsDefect } from './providers/apns.ts'
import { FcmCredentials, fcmDefect } from './providers/fcm.ts'
import { DEFAULT_PROJECT, type ProviderName, type PushProject, type PushStore } from './store.ts'

export const Credentials = z.discriminatedUnion('provider', [
  z.object({ provider: z.literal('apns'), apns: ApnsCredentials }),
  z.object({ provider: z.literal('fcm'), fcm: FcmCredentials }),
])
export type Credentials = z.infer<typeof Credentials>
type WithCredentials = Credentials['provider']

/** How long a project is known without being read again, should the word of its change be lost. */
const PROJECT_CACHE_MS = 5_000

export interface Projects extends Disposable {
  find(id: string): Promise<PushProject | undefined>
  list(): Promise<PushProject[]>
  /**
   * Makes the project, or changes it: all of it or nothing. Throws `quota_reached`, and `bad_params` for a key or certificate
   * that cannot be used.
   */
  set(
    id: string,
    wanted?: { isOpen?: boolean | undefined; credentials?: readonly Credentials[] },
  ): Promise<PushProject>
  /** Throws `not_found`. The devices stay until they end; nothing is pushed to them. */
  remove(id: string): Promise<void>
  /** Throws `not_found`. */
  removeCredentials(id: string, provider: WithCredentials): Promise<void>
  /** What opens a provider, with the id that says whether it changed; undefined where the project has none, or is stopped. */
  open(project: PushProject, provider: WithCredentials): { id: string; credentials: Credentials } | undefined
  /** The provider refused the credentials: it is not asked again until others are set. */
  stop(id: string, provider: WithCredentials, credentialsId: string, reason: string): Promise<void>
}

interface ProjectsDeps {
  store: Pick<PushStore, 'project' | 'projects' | 'changeProject' | 'removeProject' | 'onProject' | 'hurry'>
  seal: ContentSeal
  clock: Clock
  log: Log
  meter: Meter
  randomBytes: (length: number) => Uint8Array
}

/** What may be shown. */
const shownOf = (credentials: Credentials): Record<string, string> => {
  if (credentials.provider === 'fcm') {
    const { project_id, client_email } = credentials.fcm
    return { project_id, client_email }
  }
  const { apns } = credentials
  if (apns.kind === 'certificate') return { kind: apns.kind, topic: apns.topic }
  return { kind: apns.kind, topic: apns.topic, key_id: apns.keyId, team_id: apns.teamId }
}

const defectOf = (credentials: Credentials): Promise<string | undefined> =>
  credentials.provider === 'fcm' ? fcmDefect(credentials.fcm) : apnsDefect(credentials.apns)

const place = (id: string, provider: string, credentialsId: string) => [
  'push.projects',
  id,
  provider,
  credentialsId,
]

/** Those of a project as they are stored. Throws `bad_params` where one cannot be used. */
const sealAll = async (
  { seal, clock, randomBytes }: Pick<ProjectsDeps, 'seal' | 'clock' | 'randomBytes'>,
  id: string,
  all: readonly Credentials[],
): Promise<PushProject['credentials']> => {
  const stored: PushProject['credentials'] = {}
  for (const credentials of all) {
    const { provider } = credentials
    const defect = await defectOf(credentials)
    if (defect !== undefined) throw new ProtocolError('bad_params', defect, { field: provider })
    const credentialsId = toHex(randomBytes(8))
    const sealed = seal.seal(place(id, provider, credentialsId), JSON.stringify(credentials))
    stored[provider] = { id: credentialsId, sealed, shown: shownOf(credentials), setAt: clock.now() }
  }
  return stored
}

const fresh = (id: string, now: number): PushProject => ({
  id,
  createdAt: now,
  isOpen: true,
  credentials: {},
})

/** Changes a stored project, or makes it; undefined leaves all as it is. Resolves to what is there then. */
type ChangeProject = (
  id: string,
  how: (project: PushProject | undefined) => PushProject | undefined,
) => Promise<PushProject | undefined>

export const createProjects = (deps: ProjectsDeps): Projects => {
  const { store, seal, clock, meter } = deps
  let cache = createCache(clock)
  const listening = store.onProject(() => {
    cache = createCache(clock)
  })
  const change: ChangeProject = async (id, how) => {
    const bounds = { limit: PUSH_LIMITS.projects, now: clock.now() }
    const changed = await store.changeProject(id, how, bounds)
    cache = createCache(clock)
    return changed
  }
  /** Also makes the project where there is none. */
  const changeOrMake = async (
    id: string,
    how: (project: PushProject) => PushProject,
  ): Promise<PushProject> => {
    const made = fresh(id, clock.now())
    return (await change(id, (project) => how(project ?? made))) ?? made
  }
  return {
    find: (id) =>
      cache(id, async () => {
        const project = await store.project(id)
        return project ?? (id === DEFAULT_PROJECT ? fresh(id, 0) : undefined)
      }),
    async list() {
      const all = await store.projects()
      return all.some(({ id }) => id === DEFAULT_PROJECT) ? all : [fresh(DEFAULT_PROJECT, 0), ...all]
    },
    async set(id, { isOpen, credentials = [] } = {}) {
      const stored = await sealAll(deps, id, credentials)
      const project = await changeOrMake(id, (one) => ({
        ...one,
        ...(isOpen !== undefined && { isOpen }),
        credentials: { ...one.credentials, ...stored },
      }))
      for (const { provider } of credentials) {
        meter.gauge('push_provider_stopped', 0, { project: id, provider })
        await store.hurry({ projectId: id, provider }, clock.now())
      }
      return project
    },
    async remove(id) {
      if (!(await store.removeProject(id))) throw new ProtocolError('not_found', 'no such project')
      cache = createCache(clock)
    },
    async removeCredentials(id, provider) {
      const changed = await change(id, (one) => {
        const { [provider]: _, ...others } = one?.credentials ?? {}
        return one && { ...one, credentials: others }
      })
      if (!changed && id !== DEFAULT_PROJECT) throw new ProtocolError('not_found', 'no such project')
    },
    open({ id, credentials }, provider) {
      const stored = credentials[provider]
      if (!stored || stored.stopped) return undefined
      const text = seal.open(place(id, provider, stored.id), stored.sealed)
      return { id: stored.id, credentials: Credentials.parse(JSON.parse(text)) }
    },
    stop: createStop(deps, change),
    [Symbol.dispose]: () => listening[Symbol.dispose](),
  }
}

const createStop =
  ({ clock, log, meter }: ProjectsDeps, change: ChangeProject): Projects['stop'] =>
  async (id, provider, credentialsId, reason) => {
    const at = clock.now()
    let isNews = false
    await change(id, (one) => {
      const stored = one?.credentials[provider]
      // Removed, or others were set meanwhile.
      if (stored?.id !== credentialsId || stored.stopped) return undefined
      isNews = true
      const stopped = { ...stored, stopped: { at, reason } }
      return one && { ...one, credentials: { ...one.credentials, [provider]: stopped } }
    })
    if (!isNews) return
    meter.gauge('push_provider_stopped', 1, { project: id, provider })
    log.error(
      { project: id, provider, reason },
      'A push provider refuses the credentials: nothing is pushed by it until others are set',
    )
  }

const createCache = (clock: Clock) =>
  createTtlCache<PushProject | undefined>(
    { clock },
    { ttlMs: PROJECT_CACHE_MS, entries: PUSH_LIMITS.projects, isCacheable: (one) => one !== undefined },
  )

/** Whether a queue of the project can be sent at all: of those with credentials, while they are there and not refused. */
export const isServed = ({ credentials }: PushProject, provider: ProviderName): boolean => {
  if (provider !== 'apns' && provider !== 'fcm') return true
  const stored = credentials[provider]
  return stored !== undefined && stored.stopped === undefined
}
