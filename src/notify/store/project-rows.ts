/**
 * Projects over the port, all of them in one partition: they are few. Their webhooks: `./webhook-rows.ts`.
 *
 * | table | key | value |
 * |---|---|---|
 * | notify.projects | id | the project |
 * | notify.projectIds | id | – |
 */
import * as z from 'zod'
import { name } from '../../storage/bytes.ts'
import { json, NOTHING } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read } from '../../storage/table.ts'
import { listedRows } from './listed-rows.ts'
import type { Project, ProjectStore } from './projects.ts'
import { createOnce, swapRow } from './swap.ts'

const secretSchema = z.object({
  id: z.string(),
  name: z.string(),
  hash: z.string(),
  createdAt: z.number(),
  lastUsedAt: z.number().exactOptional(),
  expiresAt: z.number().exactOptional(),
})
const quotasSchema = z.object({
  apps: z.number().exactOptional(),
  subscribersPerApp: z.number().exactOptional(),
  notificationsPerDay: z.number().exactOptional(),
})
export const projectSchema: z.ZodType<Project> = z.object({
  id: z.string(),
  name: z.string(),
  secretHash: z.string(),
  createdAt: z.number(),
  secrets: z.array(secretSchema).exactOptional(),
  settings: z
    .object({
      limits: z.record(z.string(), z.string()).exactOptional(),
      quotas: quotasSchema.exactOptional(),
      retentionDays: z.number().exactOptional(),
    })
    .exactOptional(),
})

export const PROJECT_TABLES = {
  projects: defineTable({ name: 'notify.projects', shape: 'map', codec: json(projectSchema) }),
  ids: defineTable({ name: 'notify.projectIds', shape: 'index', codec: NOTHING }),
}

const PARTITION = 'projects'
const PROJECTS = PROJECT_TABLES.projects.in(PARTITION)
const IDS = PROJECT_TABLES.ids.in(PARTITION)

export const createProjectStore = (kv: Kv): Omit<ProjectStore, 'countSubscribers'> => ({
  async createProject(project) {
    const key = name(project.id)
    const others = [IDS.put({ key, value: true })]
    return (await createOnce(kv, { set: PROJECTS, key, with: others }, project)) === undefined
  },

  async project(id) {
    const [{ value }] = await read(kv, [PROJECTS.get(name(id))])
    return value
  },

  projects: (page) => listedRows(kv, { list: IDS, rows: PROJECTS }, page),

  replaceProject: (old, next) => swapRow(kv, { set: PROJECTS, key: name(old.id) }, old, next),
})
