/** The store of push over the port: devices, what waits for them, projects and processes. */
import type { Kv } from '../../storage/kv.ts'
import { DEFAULT_PROJECT, type PushStore } from '../store.ts'
import { createDeviceStore, forgetDevices, sweepDevices } from './devices.ts'
import { createProcessStore } from './processes.ts'
import { createProjectStore } from './projects.ts'
import { createWaitingStore } from './waiting.ts'

export const createPushStore = (kv: Kv): PushStore => {
  const projects = createProjectStore(kv)
  return {
    ...createDeviceStore(kv),
    ...createWaitingStore(kv),
    ...projects,
    async removeProject(id) {
      // First, so that it can be repeated when it was interrupted.
      await forgetDevices(kv, id)
      return projects.removeProject(id)
    },
    ...createProcessStore(kv),
    async sweep(now, limit) {
      let swept = 0
      const ids = (await projects.projects()).map(({ id }) => id)
      for (const id of new Set([DEFAULT_PROJECT, ...ids])) {
        if (swept >= limit) break
        swept += await sweepDevices(kv, id, now, limit - swept)
      }
      return swept
    },
  }
}
