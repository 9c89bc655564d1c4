/** Shapes that several views ask for. */
import * as z from 'zod/mini'

export const App = z.object({
  projectId: z.string(),
  domain: z.string(),
  name: z.string(),
  description: z.string(),
  url: z.string(),
  types: z.array(z.object({ id: z.string(), name: z.string(), description: z.string() })),
  listed: z.boolean(),
  links: z.boolean(),
  icons: z.object({ sm: z.string(), md: z.string(), lg: z.string() }),
  subscribeKey: z.string(),
  authenticationKey: z.string(),
  createdAt: z.optional(z.string()),
  subscribers: z.optional(z.number()),
})
export type App = z.output<typeof App>
export const Apps = z.object({ apps: z.array(App), next: z.nullable(z.string()) })

export const Secret = z.object({
  secretId: z.string(),
  name: z.string(),
  secret: z.string(),
  expiresAt: z.nullable(z.string()),
})

export const Project = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.nullable(z.string()),
  secrets: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      createdAt: z.nullable(z.string()),
      lastUsedAt: z.nullable(z.string()),
      expiresAt: z.nullable(z.string()),
    }),
  ),
  settings: z.object({
    quotas: z.optional(z.record(z.string(), z.number())),
    retentionDays: z.optional(z.number()),
    limits: z.optional(z.record(z.string(), z.string())),
  }),
})
export type Project = z.output<typeof Project>
export const Projects = z.object({ projects: z.array(Project), next: z.nullable(z.string()) })

export const Counts = z.object({
  queued: z.number(),
  published: z.number(),
  delivered: z.number(),
  read: z.number(),
  failed: z.number(),
})
export type Counts = z.output<typeof Counts>

export const PRIORITIES = ['low', 'normal', 'high', 'urgent'] as const
export type Priority = (typeof PRIORITIES)[number]

/** What a notification may have beside its texts. */
const extras = {
  priority: z.optional(z.enum(PRIORITIES)),
  silent: z.optional(z.boolean()),
  image: z.optional(z.string()),
  tags: z.optional(z.array(z.string())),
  actions: z.optional(
    z.array(
      z.object({
        id: z.string(),
        title: z.string(),
        url: z.optional(z.string()),
        answer: z.optional(z.literal(true)),
      }),
    ),
  ),
  locales: z.optional(z.record(z.string(), z.object({ title: z.string(), body: z.string() }))),
}
const Extras = z.object(extras)
export type Extras = z.output<typeof Extras>

export const Notification = z.object({
  notification_id: z.string(),
  app_domain: z.string(),
  status: z.string(),
  notification: z.object({
    type: z.string(),
    title: z.string(),
    body: z.string(),
    icon: z.nullable(z.string()),
    url: z.nullable(z.string()),
    ...extras,
  }),
  created_at: z.nullable(z.string()),
  deliver_at: z.nullable(z.string()),
  expires_at: z.nullable(z.string()),
  counts: Counts,
  push: z.object({ pushed: z.number(), refused: z.number() }),
  /** Accounts by action, where the notification asks. */
  answers: z.optional(z.record(z.string(), z.number())),
})
export type Notification = z.output<typeof Notification>
export const Notifications = z.object({ notifications: z.array(Notification), next: z.nullable(z.string()) })

export const Space = z.object({
  kind: z.enum(['disk', 'memory']),
  totalBytes: z.number(),
  freeBytes: z.number(),
})
const Lmdb = z.object({ engine: z.literal('embedded'), fileBytes: z.number(), reusableBytes: z.number() })
const Redis = z.object({
  engine: z.literal('redis'),
  nodes: z.array(
    z.object({
      version: z.string(),
      usedBytes: z.number(),
      maxBytes: z.nullable(z.number()),
      policy: z.string(),
      isAppendOnly: z.boolean(),
      lastAppend: z.string(),
      lastSave: z.string(),
      clients: z.number(),
    }),
  ),
})

export const Status = z.object({
  process: z.object({
    url: z.string(),
    version: z.string(),
    rooms: z.array(z.string()),
    pid: z.number(),
    node: z.string(),
    rssBytes: z.number(),
    heapBytes: z.number(),
    startedAt: z.string(),
    isHealthy: z.boolean(),
  }),
  store: z.object({
    health: z.union([Lmdb, Redis]),
    space: Space,
    pressure: z.string(),
    trouble: z.nullable(z.string()),
  }),
  outbox: z.nullable(z.object({ size: z.number(), oldestAt: z.nullable(z.string()) })),
  jobs: z.object({ waiting: z.nullable(z.number()), dead: z.nullable(z.number()) }),
})
export type Status = z.output<typeof Status>
