import type { ProjectStore } from '../../../notify/store/store.ts'
import type { NotifyDeps } from './deps.ts'
import { ALL } from './rows/layout.ts'

export const createRedisProjects = ({
  redis,
  ask,
  layout,
}: NotifyDeps): Pick<ProjectStore, 'countSubscribers'> => ({
  async countSubscribers(domain, most) {
    const lists = layout.listsOf(domain)
    const counts = await Promise.all(ALL.map((p) => ask(() => redis.client.zcard(lists(p)))))
    return Math.min(
      counts.reduce((sum, count) => sum + count, 0),
      most,
    )
  },
})
