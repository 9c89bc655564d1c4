/** The store of push over the port: devices, what waits for them, projects and processes. */
import type { Kv } from '../../storage/kv.ts'
import type { PushStore } from '../store.ts'
import { createDeviceStore, sweepDevices } from './devices.ts'
import { createProcessStore } from './processes.ts'
import { createProjectStore } from './projects.ts'
import { createWaitingStore } from './waiting.ts'

export const createPushStore = (kv: Kv): PushStore => {
  const projects = createProjectStore(kv)
  return {
    ...createDeviceStore(kv),
    ...createWaitingStore(kv),
    ...projects,
    ...createProcessStore(kv),
    async sweep(now, limit) {
      let swept = 0
      for (const { id } of await projects.projects()) {
        if (swept >= limit) break
        swept += await sweepDevices(kv, id, now, limit - swept)
      }
      return swept
    },
  }
}
