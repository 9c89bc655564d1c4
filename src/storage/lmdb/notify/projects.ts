import type { ProjectStore } from '../../../notify/store/store.ts'
import { endOf, named } from '../../bytes.ts'
import type { Tables } from './tables.ts'

export const createLmdbProjects = (tables: Tables): Pick<ProjectStore, 'countSubscribers'> => ({
  async countSubscribers(domain, most) {
    const prefix = named(domain)
    let count = 0
    for (const _ of tables.subscribers.getKeys({ start: prefix, end: endOf(prefix), limit: most })) count += 1
    return count
  },
})
