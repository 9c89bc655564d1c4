/** Which processes live, and which clients with devices are connected to them, over the port (`./rows.ts`). */
import { name } from '../../storage/bytes.ts'
import type { Kv } from '../../storage/kv.ts'
import { read, transact } from '../../storage/table.ts'
import type { ProcessStore } from '../store.ts'
import { ALL, CHANNELS, ofProcess, PUSH_TABLES } from './rows.ts'

const processes = PUSH_TABLES.processes.in(ALL)
const { connections, clients } = PUSH_TABLES
const MAX_PROCESSES = 1_000
/** Processes that a client is connected to; published clients have one connection. */
const MAX_CONNECTIONS = 16
const MAX_SILENT = 64

export const createProcessStore = (kv: Kv): ProcessStore => ({
  async alive(processId, until) {
    const row = processes.put({ key: name(processId), value: until })
    await kv.commit([{ partition: ALL, writes: [row] }], 0)
  },
  async dead(now) {
    const [rows] = await read(kv, [processes.range({ limit: MAX_PROCESSES })])
    return rows.filter(({ value }) => value <= now).map(({ key }) => key.toString())
  },
  async connected({ clientId, processId, since, silent }) {
    const partition = ofProcess(processId)
    // First: who follows the list of a process that died finds every client of it.
    const listed = clients.in(partition).put({ key: name(clientId), value: true })
    await kv.commit([{ partition, writes: [listed] }], 0)
    const row = connections.in(clientId).put({ key: name(processId), value: { since, silent } })
    await kv.commit([{ partition: clientId, writes: [row] }], 0)
    kv.publish(CHANNELS.devices, [clientId])
  },
  async disconnected({ clientId, processId }) {
    const partition = ofProcess(processId)
    const row = connections.in(clientId).remove(name(processId))
    await kv.commit([{ partition: clientId, writes: [row] }], 0)
    await kv.commit([{ partition, writes: [clients.in(partition).remove(name(clientId))] }], 0)
    kv.publish(CHANNELS.devices, [clientId])
  },
  silence: ({ clientId, processId }, messageId) =>
    transact<void>(kv, 0, async () => {
      const set = connections.in(clientId)
      const [{ value, isUnchanged }] = await read(kv, [set.get(name(processId))])
      if (!value || value.silent.includes(messageId)) return { answer: undefined }
      const silent = [...value.silent, messageId].slice(-MAX_SILENT)
      const writes = [set.put({ key: name(processId), value: { ...value, silent } })]
      return {
        answer: undefined,
        batch: { partition: clientId, checks: [isUnchanged], writes, isOnce: false },
      }
    }),
  async connections(clientIds) {
    const found = await read(
      kv,
      clientIds.map((clientId) => connections.in(clientId).range({ limit: MAX_CONNECTIONS })),
    )
    return clientIds.flatMap((clientId, at) =>
      (found[at] ?? []).map(({ key, value }) => ({ clientId, processId: key.toString(), ...value })),
    )
  },
  async clientsOf(processId, limit) {
    const [found] = await read(kv, [clients.in(ofProcess(processId)).keys({ limit })])
    return found.map(String)
  },
  async buried(processId) {
    await kv.commit([{ partition: ALL, writes: [processes.remove(name(processId))] }], 0)
  },
})
