/**
 * Projects: who may speak for one, and what the operator grants it.
 *
 * Guarantees: a secret is shown once and only its hash is kept; one that is revoked or over counts no more, in every
 * process, with the next request; settings count in this process at once and in others within `SETTINGS_AGE`.
 */
import { crypto } from '#crypto'
import type { Clock } from '../../platform/runtime/clock.ts'
import { equalBytes, fromHex, toBase64url, toHex, utf8 } from '../../protocol/bytes.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { Project, ProjectSecret, ProjectSettings, ProjectStore } from '../store/projects.ts'

const PROJECT_ID = /^[A-Za-z0-9_-]{1,64}$/
const HOUR = 3_600_000
/** How long what was read of a project's settings is believed, ms. */
const SETTINGS_AGE = 5_000
/** Projects whose settings are held in memory. */
const HELD = 1_000
/** Live secrets of one project. */
const MOST_SECRETS = 100
const ATTEMPTS = 10

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
  /** Throws `unauthenticated` for a wrong secret and for a project that is not there alike. */
  authenticate(projectId: string, secret: string): Promise<Project>
  /** Throws `not_found`. */
  project(projectId: string): Promise<Project>
  list(page: { after?: string; limit: number }): Promise<Project[]>
  /** Those that count now. */
  secretsOf(project: Project): ProjectSecret[]
  /** `life`: how long it counts, s; for ever when absent. */
  addSecret(projectId: string, name: string, life?: number): Promise<NewSecret>
  /** A new one with the name of `secretId`, which counts for `overlap` s more. Which one need not be said of one. */
  rotateSecret(projectId: string, secretId: string | undefined, overlap: number): Promise<NewSecret>
  /** Throws `not_found` for one that is not there, or counts no more. */
  revokeSecret(projectId: string, secretId: string): Promise<void>
  /** As the operator set them, lately. A project that is not there has none. */
  settings(projectId: string): Promise<ProjectSettings>
  /** Replaces the settings. */
  set(projectId: string, settings: ProjectSettings): Promise<Project>
}

const hashOf = (secret: string): Uint8Array => crypto.sha256(utf8(secret))

/** Of records from the time when a project had one secret, too. */
const allSecrets = ({ secrets, secretHash, createdAt }: Project): ProjectSecret[] =>
  secrets ?? [{ id: 'first', name: 'first', hash: secretHash, createdAt }]

export const createProjectRegistry = (deps: {
  store: ProjectStore
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}): ProjectRegistry => {
  const { store, clock, randomBytes } = deps
  const held = new Map<string, { settings: ProjectSettings; readAt: number }>()

  /** In which hour the use of a secret was noted last. */
  const noted = new Map<string, number>()

  const living = (project: Project): ProjectSecret[] =>
    allSecrets(project).filter(({ expiresAt }) => expiresAt === undefined || expiresAt > clock.now())

  const find = async (projectId: string): Promise<Project> => {
    const project = PROJECT_ID.test(projectId) ? await store.project(projectId) : undefined
    if (!project) throw new ProtocolError('not_found', `project ${projectId}`)
    return project
  }

  const change = async <T>(projectId: string, decide: (project: Project) => [Project, T]): Promise<T> => {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const project = await find(projectId)
      const [next, answer] = decide(project)
      if (await store.replaceProject(project, next)) return answer
    }
    throw new ProtocolError('unavailable', 'the project is changing too fast')
  }

  /** Notes the hour, once in this process; nobody waits for it, and one that fails is made by the next request. */
  const noteUse = async (projectId: string, used: ProjectSecret): Promise<void> => {
    const hour = Math.floor(clock.now() / HOUR) * HOUR
    const id = `${projectId} ${used.id}`
    if ((used.lastUsedAt ?? 0) >= hour || noted.get(id) === hour) return
    if (noted.size >= HELD) noted.clear()
    noted.set(id, hour)
    await change(projectId, (project) => {
      // What was revoked meanwhile is not among them.
      const secrets = allSecrets(project).map((one) =>
        one.id === used.id ? { ...one, lastUsedAt: hour } : one,
      )
      return [{ ...project, secrets }, undefined]
    }).catch(() => noted.delete(id))
  }

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
    if (others.length >= MOST_SECRETS) {
      throw new ProtocolError('conflict', `a project has at most ${MOST_SECRETS} secrets`)
    }
    return [{ ...project, secrets: [...others, added.record] }, added]
  }

  return {
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
      // Hashes are compared, so that what the time could tell about is not the secret; and in constant time besides.
      const right = project && living(project).filter(({ hash }) => equalBytes(given, fromHex(hash)))[0]
      if (!project || !right) throw new ProtocolError('unauthenticated')
      void noteUse(projectId, right)
      return project
    },

    project: find,
    list: (page) => store.projects(page),
    secretsOf: living,

    async addSecret(projectId, name, life) {
      const added = newSecret(name, life === undefined ? undefined : clock.now() + life * 1000)
      return change(projectId, (project) => withSecret(project, living(project), added))
    },

    async rotateSecret(projectId, secretId, overlap) {
      return change(projectId, (project) => {
        const all = living(project)
        const which =
          secretId === undefined && all.length === 1 ? all[0] : all.find(({ id }) => id === secretId)
        if (!which) {
          throw secretId === undefined
            ? new ProtocolError('bad_params', `which one of ${all.map(({ id }) => id).join(', ')}?`)
            : new ProtocolError('not_found', `secret ${secretId}`)
        }
        const until = Math.min(clock.now() + overlap * 1000, which.expiresAt ?? Number.POSITIVE_INFINITY)
        const others = all
          .map((one) => (one === which ? { ...one, expiresAt: until } : one))
          .filter(({ expiresAt }) => expiresAt === undefined || expiresAt > clock.now())
        return withSecret(project, others, newSecret(which.name))
      })
    },

    async revokeSecret(projectId, secretId) {
      await change(projectId, (project) => {
        const all = living(project)
        if (!all.some(({ id }) => id === secretId)) throw new ProtocolError('not_found', `secret ${secretId}`)
        return [{ ...project, secrets: all.filter(({ id }) => id !== secretId) }, undefined]
      })
    },

    async settings(projectId) {
      const known = held.get(projectId)
      const now = clock.now()
      if (known && now - known.readAt < SETTINGS_AGE) return known.settings
      const settings = (await store.project(projectId))?.settings ?? {}
      held.delete(projectId)
      held.set(projectId, { settings, readAt: now })
      if (held.size > HELD) {
        const [oldest] = held.keys()
        if (oldest !== undefined) held.delete(oldest)
      }
      return settings
    },

    async set(projectId, settings) {
      const next = await change(projectId, (project) => {
        const changed = { ...project, settings }
        return [changed, changed]
      })
      held.delete(projectId)
      return next
    },
  }
}
