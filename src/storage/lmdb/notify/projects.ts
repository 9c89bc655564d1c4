import type { ProjectStore } from '../../../notify/store/store.ts'
import { endOf, name, named } from '../../bytes.ts'
import type { Env } from '../env.ts'
import { pageOf, type Tables } from './tables.ts'

export const createLmdbProjects = (env: Env, tables: Tables): ProjectStore => ({
  async createProject(project) {
    const at = name(project.id)
    return env.transaction(() => {
      if (tables.projects.get(at)) return false
      tables.projects.put(at, project)
      return true
    })
  },

  async project(id) {
    return tables.projects.get(name(id))
  },

  async projects(page) {
    return [...tables.projects.getRange(pageOf(page))].map(({ value }) => value)
  },

  async replaceProject(old, next) {
    const at = name(old.id)
    const expected = JSON.stringify(old)
    return env.transaction(() => {
      if (JSON.stringify(tables.projects.get(at)) !== expected) return false
      tables.projects.put(at, next)
      return true
    })
  },

  async countSubscribers(domain, most) {
    const prefix = named(domain)
    let count = 0
    for (const _ of tables.subscribers.getKeys({ start: prefix, end: endOf(prefix), limit: most })) count += 1
    return count
  },
})
