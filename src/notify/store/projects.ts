/** The store's part for projects. */
import type { LimitRules } from '../apps/limits.ts'

/** One of a project's secrets. The secret itself is shown once and not stored. */
export interface ProjectSecret {
  /** 16 lower-case hex characters, unique in the project; `first` for the one that came with the project. */
  id: string
  /** What it is for, in the operator's words. */
  name: string
  /** Hex SHA-256 of it: it is random, so nothing slower is needed. */
  hash: string
  createdAt: number
  /** The beginning of the hour in which it was last used. */
  lastUsedAt?: number
  /** Unix ms; the secret counts no more from then on. */
  expiresAt?: number
}

/** What an operator grants to a project; absent members have their defaults. */
export interface ProjectSettings {
  limits?: LimitRules
  quotas?: {
    apps?: number
    subscribersPerApp?: number
    notificationsPerDay?: number
  }
  /** How long its notifications stay in histories, days. */
  retentionDays?: number
}

export interface Project {
  /** 32 lower-case hex characters, or whatever the operator chose: `^[A-Za-z0-9_-]{1,64}$`. */
  id: string
  name: string
  /** Hash of the secret that came with the project; it counts as long as there are no `secrets`. */
  secretHash: string
  createdAt: number
  /** All secrets, the first included; absent until the secrets change for the first time. */
  secrets?: ProjectSecret[]
  settings?: ProjectSettings
}

export interface ProjectStore {
  /** Creates the project unless one with this id exists; returns whether it did. */
  createProject(project: Project): Promise<boolean>
  project(id: string): Promise<Project | undefined>
  projects(page: { after?: string; limit: number }): Promise<Project[]>
  /** Replaces `old`, as `project` returned it, by `next` if it is still the stored one; returns whether it did. */
  replaceProject(old: Project, next: Project): Promise<boolean>
  /** How many subscribers an app has, expired ones included; counts to `most` at most. */
  countSubscribers(domain: string, most: number): Promise<number>
}
