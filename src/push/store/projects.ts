/** Projects with their credentials, and the server's VAPID key, over the port (`./rows.ts`). */
import { ProtocolError } from '../../protocol/errors.ts'
import { name } from '../../storage/bytes.ts'
import type { Kv } from '../../storage/kv.ts'
import { read, transact } from '../../storage/table.ts'
import type { ProjectStore } from '../store.ts'
import { ALL, CHANNELS, PUSH_TABLES } from './rows.ts'

const projects = PUSH_TABLES.projects.in(ALL)
const vapid = PUSH_TABLES.vapid.in(ALL)
/** More than an operator may make. */
const MAX_LISTED = 10_000

export const createProjectStore = (kv: Kv): ProjectStore => ({
  async project(id) {
    const [{ value }] = await read(kv, [projects.get(name(id))])
    return value
  },
  async projects() {
    const [rows] = await read(kv, [projects.range({ limit: MAX_LISTED })])
    return rows.map(({ value }) => value)
  },
  async changeProject(id, change, { limit, now }) {
    const changed = await transact(kv, now, async () => {
      const [{ value, isUnchanged }, count] = await read(kv, [projects.get(name(id)), projects.count()])
      const next = change(value)
      if (!next) return { answer: value }
      if (!value && count >= limit) throw new ProtocolError('quota_reached', `at most ${limit} push projects`)
      const writes = [projects.put({ key: name(id), value: next })]
      return { answer: next, batch: { partition: ALL, checks: [isUnchanged], writes, isOnce: false } }
    })
    kv.publish(CHANNELS.projects, [id])
    return changed
  },
  async removeProject(id) {
    const [outcome] = await kv.commit([{ partition: ALL, writes: [projects.remove(name(id))] }], 0)
    kv.publish(CHANNELS.projects, [id])
    return outcome?.isDone === true && outcome.results[0] === 1
  },
  async vapidKey(fresh) {
    await kv.commit([{ partition: ALL, writes: [vapid.create({ value: fresh })] }], 0)
    const [{ value = fresh }] = await read(kv, [vapid.get()])
    return value
  },
  onProject: (listener) => kv.listen([CHANNELS.projects], listener),
})
