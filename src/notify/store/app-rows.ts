/**
 * Apps over the port, all of them in one partition: they are few, and are found by what differs from app to app.
 *
 * | table | subject | key | value |
 * |---|---|---|---|
 * | notify.apps | – | domain | the app |
 * | notify.domains | none for all apps, or a project | domain | – |
 * | notify.appTopics | – | subscribe topic | domain |
 */
import * as z from 'zod'
import { name } from '../../storage/bytes.ts'
import { json, NOTHING, text } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'
import { listedRows } from './listed-rows.ts'
import type { AppRecord, NotifyStore } from './store.ts'
import { changeRow, createOnce, swapRow } from './swap.ts'

const keyPairs = {
  authenticationSeed: z.string(),
  authenticationKey: z.string(),
  subscribePrivateKey: z.string(),
  subscribeKey: z.string(),
  subscribeTopic: z.string(),
}
const welcome = z.object({
  enabled: z.boolean(),
  type: z.string(),
  title: z.string(),
  body: z.string(),
  url: z.string().nullable(),
})
export const appSchema: z.ZodType<AppRecord> = z.object({
  domain: z.string(),
  projectId: z.string(),
  name: z.string(),
  description: z.string(),
  url: z.string(),
  icons: z.object({ sm: z.string(), md: z.string(), lg: z.string() }),
  types: z.array(z.object({ id: z.string(), name: z.string(), description: z.string() })),
  listed: z.boolean(),
  links: z.boolean().exactOptional(),
  welcome: welcome.nullable().exactOptional(),
  ...keyPairs,
  previousKeys: z.array(z.object({ ...keyPairs, until: z.number() })).exactOptional(),
  createdAt: z.number(),
})

export const APP_TABLES = {
  apps: defineTable({ name: 'notify.apps', shape: 'map', codec: json(appSchema) }),
  domains: defineTable({ name: 'notify.domains', shape: 'index', codec: NOTHING }),
  topics: defineTable({ name: 'notify.appTopics', shape: 'map', codec: text }),
}

const PARTITION = 'apps'
const APPS = APP_TABLES.apps.in(PARTITION)
const DOMAINS = APP_TABLES.domains.in(PARTITION)
/** An empty id would name the list of all apps: it is refused. */
const domainsOf = (projectId: string) => APP_TABLES.domains.in(PARTITION, name(projectId).toString())
const TOPICS = APP_TABLES.topics.in(PARTITION)

/** Every subscribe topic that leads to the app: of its present keys and of former ones. */
const topicsOf = ({ subscribeTopic, previousKeys = [] }: AppRecord): string[] => [
  subscribeTopic,
  ...previousKeys.map((keys) => keys.subscribeTopic),
]

const putTopics = (app: AppRecord) =>
  topicsOf(app).map((topic) => TOPICS.put({ key: name(topic), value: app.domain }))

type AppStore = Pick<
  NotifyStore,
  'createApp' | 'describeApp' | 'removeApp' | 'app' | 'appByTopic' | 'apps' | 'swapApp'
>

const appOf = async (kv: Kv, domain: string): Promise<AppRecord | undefined> => {
  const [{ value }] = await read(kv, [APPS.get(name(domain))])
  return value
}

export const createAppStore = (kv: Kv): AppStore => ({
  async createApp(app) {
    const key = name(app.domain)
    const lists = [DOMAINS, domainsOf(app.projectId)]
    const others = [...lists.map((list) => list.put({ key, value: true })), ...putTopics(app)]
    return (await createOnce(kv, { set: APPS, key, with: others }, app)) ?? app
  },

  async describeApp(domain, description) {
    await changeRow(kv, { set: APPS, key: name(domain) }, (app) => ({ ...app, ...description }))
  },

  removeApp: (domain) =>
    transact(kv, 0, async () => {
      const key = name(domain)
      const [{ value: app, isUnchanged }] = await read(kv, [APPS.get(key)])
      if (app === undefined) return { answer: [] }
      const topics = topicsOf(app)
      const writes = [
        ...[APPS, DOMAINS, domainsOf(app.projectId)].map((set) => set.remove(key)),
        ...topics.map((topic) => TOPICS.remove(name(topic))),
      ]
      return { answer: topics, batch: { partition: PARTITION, checks: [isUnchanged], writes } }
    }),

  app: (domain) => appOf(kv, domain),

  async appByTopic(subscribeTopic) {
    const [{ value: domain }] = await read(kv, [TOPICS.get(name(subscribeTopic))])
    return domain === undefined ? undefined : appOf(kv, domain)
  },

  apps({ projectId, ...page }) {
    const list = projectId === undefined ? DOMAINS : domainsOf(projectId)
    return listedRows(kv, { list, rows: APPS }, page)
  },

  swapApp(old, next) {
    const after = topicsOf(next)
    const left = topicsOf(old).filter((topic) => !after.includes(topic))
    const topics = [...putTopics(next), ...left.map((topic) => TOPICS.remove(name(topic)))]
    return swapRow(kv, { set: APPS, key: name(old.domain), with: topics }, old, next)
  },
})
