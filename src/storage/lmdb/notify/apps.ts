import type { AppRecord, NotifyStore } from '../../../notify/store/store.ts'
import { behind, endOf, name, named } from '../../bytes.ts'
import { topicsOf } from '../../rows/app-topics.ts'
import { PRESENT } from '../bytes.ts'
import type { Env } from '../env.ts'
import { pageOf, type Tables } from './tables.ts'

type Apps = Pick<NotifyStore, 'serverKeys' | 'createApp' | 'describeApp' | 'app' | 'appByTopic' | 'apps'>

export const KEYS = name('keys')

/** The server's keys and apps. */
export const createLmdbApps = (env: Env, tables: Tables): Apps => ({
  async serverKeys(proposal) {
    return env.transaction(() => {
      const stored = tables.server.get(KEYS)
      if (stored) return stored
      tables.server.put(KEYS, proposal)
      return proposal
    })
  },

  async createApp(app) {
    const at = name(app.domain)
    const topics = topicsOf(app).map(name)
    const ofProject = named(app.projectId, at)
    return env.transaction(() => {
      const holder = tables.apps.get(at)
      if (holder) return holder
      tables.apps.put(at, app)
      for (const topic of topics) tables.appTopics.put(topic, app.domain)
      tables.projectApps.put(ofProject, PRESENT)
      return app
    })
  },

  async describeApp(domain, description) {
    const at = name(domain)
    await env.transaction(() => {
      const app = tables.apps.get(at)
      if (app) tables.apps.put(at, { ...app, ...description })
    })
  },

  async app(domain) {
    return tables.apps.get(name(domain))
  },

  async appByTopic(subscribeTopic) {
    const domain = tables.appTopics.get(name(subscribeTopic))
    return domain === undefined ? undefined : tables.apps.get(name(domain))
  },

  async apps({ projectId, after, limit }) {
    if (projectId === undefined) {
      const page = pageOf({ limit, ...(after !== undefined && { after }) })
      return [...tables.apps.getRange(page)].map(({ value }) => value)
    }
    const prefix = named(projectId)
    const start = after === undefined ? prefix : behind(named(projectId, name(after)))
    const found: AppRecord[] = []
    for (const at of tables.projectApps.getKeys({ start, end: endOf(prefix), limit })) {
      const app = tables.apps.get(at.subarray(prefix.length))
      if (app) found.push(app)
    }
    return found
  },
})
