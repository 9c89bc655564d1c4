/** The server's own sealed keys over the port: one cell. */
import * as z from 'zod'
import { json } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read } from '../../storage/table.ts'
import type { NotifyStore } from './store.ts'
import { createOnce, swapRow } from './swap.ts'

export const SERVER_KEYS = defineTable({
  name: 'notify.serverKeys',
  shape: 'cell',
  codec: json(z.record(z.string(), z.string())),
})
const CELL = SERVER_KEYS.in('server')

export const createServerKeysStore = (
  kv: Kv,
): Pick<NotifyStore, 'serverKeys' | 'storedServerKeys' | 'swapServerKeys'> => ({
  serverKeys: async (proposal) => (await createOnce(kv, { set: CELL }, proposal)) ?? proposal,

  async storedServerKeys() {
    const [{ value }] = await read(kv, [CELL.get()])
    return value
  },

  swapServerKeys: (old, next) => swapRow(kv, { set: CELL }, old, next),
})
