import type { AppRecord, NotifyStore, Sealed } from '../../../notify/store/store.ts'
import { topicsOf } from '../../rows/app-topics.ts'
import { createAppScript } from '../lua/notify/accounts/app.ts'
import { swapScript } from '../lua/notify/accounts/swap.ts'
import { text, whole } from '../script.ts'
import { type NotifyDeps, parsed } from './deps.ts'
import { name } from './rows/layout.ts'

type Apps = Pick<NotifyStore, 'serverKeys' | 'createApp' | 'describeApp' | 'app' | 'appByTopic' | 'apps'>

/** The server's keys and apps. They are few: all apps share a slot. */
export const createRedisApps = ({ redis, ask, layout }: NotifyDeps): Apps => {
  const { client } = redis

  /** The names of a page of a list, in order. */
  const names = (list: string, { after, limit }: { after?: string | undefined; limit: number }) =>
    ask(() => client.zrangebylex(list, after === undefined ? '-' : `(${name(after)}`, '+', 'LIMIT', 0, limit))
  const values = async (keys: readonly string[]): Promise<(string | null)[]> =>
    keys.length === 0 ? [] : ask(() => client.mget(...keys))

  const appOf = async (domain: string): Promise<AppRecord | undefined> =>
    parsed<AppRecord>(await ask(() => client.get(layout.app(domain))))

  return {
    async serverKeys(proposal) {
      const stored = await ask(() => client.set(layout.server, JSON.stringify(proposal), 'NX', 'GET'))
      return parsed<Record<string, Sealed>>(stored) ?? proposal
    },

    async createApp(app) {
      const keys = [
        layout.app(app.domain),
        layout.apps,
        layout.projectApps(app.projectId),
        ...topicsOf(app).map(layout.appTopic),
      ]
      const args = [app.domain, JSON.stringify(app)]
      return parsed<AppRecord>(text(await ask(() => redis.script(createAppScript, keys, args)))) ?? app
    },

    async describeApp(domain, description) {
      const key = layout.app(domain)
      for (;;) {
        const old = await ask(() => client.get(key))
        const app = parsed<AppRecord>(old)
        if (old === null || !app) return
        const next = JSON.stringify({ ...app, ...description })
        if (whole(await ask(() => redis.script(swapScript, [key], [old, next]))) === 1) return
      }
    },

    app: appOf,

    async appByTopic(subscribeTopic) {
      const domain = await ask(() => client.get(layout.appTopic(subscribeTopic)))
      return domain === null ? undefined : appOf(domain)
    },

    async apps({ projectId, ...page }) {
      const list = projectId === undefined ? layout.apps : layout.projectApps(projectId)
      const found = await values((await names(list, page)).map(layout.app))
      return found.flatMap((one) => parsed<AppRecord>(one) ?? [])
    },
  }
}
