import type { Project, ProjectStore } from '../../../notify/store/store.ts'
import { createProjectScript } from '../lua/notify/accounts/project.ts'
import { swapScript } from '../lua/notify/accounts/swap.ts'
import { whole } from '../script.ts'
import { type NotifyDeps, parsed } from './deps.ts'
import { ALL, name } from './rows/layout.ts'

/** Projects. They are few: all of them share a slot. */
export const createRedisProjects = ({ redis, ask, layout }: NotifyDeps): ProjectStore => {
  const { client } = redis
  return {
    async createProject(project) {
      const keys = [layout.project(project.id), layout.projects]
      const args = [project.id, JSON.stringify(project)]
      return whole(await ask(() => redis.script(createProjectScript, keys, args))) === 1
    },

    async project(id) {
      return parsed<Project>(await ask(() => client.get(layout.project(id))))
    },

    async projects({ after, limit }) {
      const start = after === undefined ? '-' : `(${name(after)}`
      const ids = await ask(() => client.zrangebylex(layout.projects, start, '+', 'LIMIT', 0, limit))
      const found = ids.length === 0 ? [] : await ask(() => client.mget(...ids.map(layout.project)))
      return found.flatMap((one) => parsed<Project>(one) ?? [])
    },

    // What is kept was written by `JSON.stringify`, which writes what it reads in the same order.
    async replaceProject(old, next) {
      const texts = [JSON.stringify(old), JSON.stringify(next)]
      return whole(await ask(() => redis.script(swapScript, [layout.project(old.id)], texts))) === 1
    },

    async countSubscribers(domain, most) {
      const lists = layout.listsOf(domain)
      const counts = await Promise.all(ALL.map((p) => ask(() => client.zcard(lists(p)))))
      return Math.min(
        counts.reduce((sum, count) => sum + count, 0),
        most,
      )
    },
  }
}
