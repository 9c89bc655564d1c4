/**
 * Projects: their secrets, and what the operator grants them.
 *
 * Guarantees: a secret is shown once and only its hash is stored. A revoked or expired secret counts no more, in every
 * process, from the next request on. Settings count in this process at once, in others within `SETTINGS_CACHE_MS`.
 */
import { crypto } from '#crypto'
import type { Clock } from '../../platform/runtime/clock.ts'
import { HOUR_MS } from '../../platform/units.ts'
import { equalBytes, fromHex, toBase64url, toHex, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Project, ProjectSecret, ProjectSettings, ProjectStore } from '../store/projects.ts'

const PROJECT_ID = /^[A-Za-z0-9_-]{1,64}$/
const SETTINGS_CACHE_MS = 5_000
const MAX_CACHED_PROJECTS = 1_000
/** Live secrets of one project. */
const MAX_SECRETS_PER_PROJECT = 100
/** Another process changed the same project: how often to start over. */
const MAX_COMMIT_ATTEMPTS = 10

export interface NewSecret {
  secret: string
  record: ProjectSecret
}

export interface ProjectRegistry {
  /** `secret` in the answer is the only time it can be seen. Throws `conflict` when the id is taken. */
  create(project?: { id?: string; name?: string; secret?: string }): Promise<{
    project: Project
    secret: string
  }>
  /** Throws `unauthenticated`, for a wrong secret and for an unknown project alike. */
  authenticate(projectId: string, secret: string): Promise<Project>
  /** Throws `not_found`. */
  project(projectId: string): Promise<Project>
  list(page: { after?: string; limit: number }): Promise<Project[]>
  /** The secrets that count now. */
  secretsOf(project: Project): ProjectSecret[]
  /** `life`: how long it counts, s; for ever when absent. */
  addSecret(projectId: string, name: string, life?: number): Promise<NewSecret>
  /** Adds one with the name of `secretId`, which counts for `overlap` s more. An only secret need not be named. */
  rotateSecret(projectId: string, secretId: string | undefined, overlap: number): Promise<NewSecret>
  /** Throws `not_found` for an unknown secret, and for one that counts no more. */
  revokeSecret(projectId: string, secretId: string): Promise<void>
  /** As the operator set them, cached. An unknown project has none. */
  settings(projectId: string): Promise<ProjectSettings>
  /** Replaces the settings. */
  set(projectId: string, settings: ProjectSettings): Promise<Project>
}

const hashOf = (secret: string): Uint8Array => crypto.sha256(utf8(secret))

/** A project has no list before its secrets change for the first time. */
const allSecrets = ({ secrets, secretHash, createdAt }: Project): ProjectSecret[] =>
  secrets ?? [{ id: 'first', name: 'first', hash: secretHash, createdAt }]

type Change = <T>(projectId: string, decide: (project: Project) => [Project, T]) => Promise<T>

const find = async (store: Pick<ProjectStore, 'project'>, projectId: string): Promise<Project> => {
  const project = PROJECT_ID.test(projectId) ? await store.project(projectId) : undefined
  if (!project) throw new ProtocolError('not_found', `project ${projectId}`)
  return project
}

/** Compare-and-swap of one project; resolves with the second part of the decision. */
const createChange =
  (store: Pick<ProjectStore, 'project' | 'replaceProject'>): Change =>
  async (projectId, decide) => {
    for (let attempt = 0; attempt < MAX_COMMIT_ATTEMPTS; attempt++) {
      const project = await find(store, projectId)
      const [next, answer] = decide(project)
      if (await store.replaceProject(project, next)) return answer
    }
    throw new ProtocolError('unavailable', 'the project is changing too fast')
  }

const liveSecrets = (project: Project, now: number): ProjectSecret[] =>
  allSecrets(project).filter(({ expiresAt }) => expiresAt === undefined || expiresAt > now)

/** Records the hour in which a secret was used, once in this process; requests do not wait for it. */
const createUseRecords = (change: Change, clock: Clock) => {
  /** The hour that was recorded last, by project and secret. */
  const recorded = new Map<string, number>()
  return async (projectId: string, used: ProjectSecret): Promise<void> => {
    const hour = Math.floor(clock.now() / HOUR_MS) * HOUR_MS
    const id = `${projectId} ${used.id}`
    if ((used.lastUsedAt ?? 0) >= hour || recorded.get(id) === hour) return
    if (recorded.size >= MAX_CACHED_PROJECTS) recorded.clear()
    recorded.set(id, hour)
    await change(projectId, (project) => {
      // A secret that was revoked meanwhile is not among them.
      const secrets = allSecrets(project).map((one) =>
        one.id === used.id ? { ...one, lastUsedAt: hour } : one,
      )
      return [{ ...project, secrets }, undefined]
      // The next request tries again.
    }).catch(() => recorded.delete(id))
  }
}

/** Adds, rotates and revokes secrets. */
const createSecrets = (
  change: Change,
  { clock, randomBytes }: { clock: Clock; randomBytes: (length: number) => Uint8Array },
): Pick<ProjectRegistry, 'addSecret' | 'rotateSecret' | 'revokeSecret'> => {
  const newSecret = (name: string, expiresAt?: number): NewSecret => {
    const secret = toBase64url(randomBytes(32))
    const record: ProjectSecret = {
      id: toHex(randomBytes(8)),
      name,
      hash: toHex(hashOf(secret)),
      createdAt: clock.now(),
      ...(expiresAt !== undefined && { expiresAt }),
    }
    return { secret, record }
  }

  const withSecret = (project: Project, others: ProjectSecret[], added: NewSecret): [Project, NewSecret] => {
    if (others.length >= MAX_SECRETS_PER_PROJECT) {
      throw new ProtocolError('conflict', `a project has at most ${MAX_SECRETS_PER_PROJECT} secrets`)
    }
    return [{ ...project, secrets: [...others, added.record] }, added]
  }

  return {
    async addSecret(projectId, name, life) {
      const added = newSecret(name, life === undefined ? undefined : clock.now() + life * 1000)
      return change(projectId, (project) => withSecret(project, liveSecrets(project, clock.now()), added))
    },

    async rotateSecret(projectId, secretId, overlap) {
      return change(projectId, (project) => {
        const all = liveSecrets(project, clock.now())
        const rotated =
          secretId === undefined && all.length === 1 ? all[0] : all.find(({ id }) => id === secretId)
        if (!rotated) {
          throw secretId === undefined
            ? new ProtocolError('bad_params', `which one of ${all.map(({ id }) => id).join(', ')}?`)
            : new ProtocolError('not_found', `secret ${secretId}`)
        }
        const until = Math.min(clock.now() + overlap * 1000, rotated.expiresAt ?? Number.POSITIVE_INFINITY)
        const others = all
          .map((one) => (one === rotated ? { ...one, expiresAt: until } : one))
          .filter(({ expiresAt }) => expiresAt === undefined || expiresAt > clock.now())
        return withSecret(project, others, newSecret(rotated.name))
      })
    },

    async revokeSecret(projectId, secretId) {
      await change(projectId, (project) => {
        const all = liveSecrets(project, clock.now())
        if (!all.some(({ id }) => id === secretId)) throw new ProtocolError('not_found', `secret ${secretId}`)
        return [{ ...project, secrets: all.filter(({ id }) => id !== secretId) }, undefined]
      })
    },
  }
}

/** Reads settings, cached, and replaces them. */
const createSettings = (
  store: Pick<ProjectStore, 'project'>,
  change: Change,
  clock: Clock,
): Pick<ProjectRegistry, 'settings' | 'set'> => {
  const cached = new Map<string, { settings: ProjectSettings; readAt: number }>()
  return {
    async settings(projectId) {
      const known = cached.get(projectId)
      const now = clock.now()
      if (known && now - known.readAt < SETTINGS_CACHE_MS) return known.settings
      const settings = (await store.project(projectId))?.settings ?? {}
      cached.delete(projectId)
      cached.set(projectId, { settings, readAt: now })
      if (cached.size > MAX_CACHED_PROJECTS) {
        const [oldest] = cached.keys()
        if (oldest !== undefined) cached.delete(oldest)
      }
      return settings
    },

    async set(projectId, settings) {
      const next = await change(projectId, (project) => {
        const changed = { ...project, settings }
        return [changed, changed]
      })
      cached.delete(projectId)
      return next
    },
  }
}

export const createProjectRegistry = (deps: {
  store: ProjectStore
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): ProjectRegistry => {
  const { store, clock, randomBytes } = deps
  const change = createChange(store)
  const recordUse = createUseRecords(change, clock)

  return {
    ...createSecrets(change, { clock, randomBytes }),
    ...createSettings(store, change, clock),

    async create({ id, name, secret } = {}) {
      if (id !== undefined && !PROJECT_ID.test(id)) {
        throw new ProtocolError('bad_params', 'a project id is 1 to 64 of A-Z a-z 0-9 _ -', { field: 'id' })
      }
      const shown = secret ?? toBase64url(randomBytes(32))
      const project: Project = {
        id: id ?? toHex(randomBytes(16)),
        name: name ?? '',
        secretHash: toHex(hashOf(shown)),
        createdAt: clock.now(),
      }
      if (!(await store.createProject(project))) {
        throw new ProtocolError('conflict', `project ${project.id}`, { field: 'id' })
      }
      return { project, secret: shown }
    },

    async authenticate(projectId, secret) {
      const project = PROJECT_ID.test(projectId) ? await store.project(projectId) : undefined
      const given = hashOf(secret)
      // Hashes are compared, and in constant time, so that the time tells nothing about the secret.
      const right =
        project && liveSecrets(project, clock.now()).filter(({ hash }) => equalBytes(given, fromHex(hash)))[0]
      if (!project || !right) throw new ProtocolError('unauthenticated')
      void recordUse(projectId, right)
      return project
    },

    project: (projectId) => find(store, projectId),
    list: (page) => store.projects(page),
    secretsOf: (project) => liveSecrets(project, clock.now()),
  }
}
