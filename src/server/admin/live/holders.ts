/**
 * Who is connected to this process, and which addresses use most of what it has, for the operator.
 *
 * | method, path             | query    | answer                                                                    |
 * |--------------------------|----------|---------------------------------------------------------------------------|
 * | GET /admin/connections   | `limit?` | `{total, connections}`: client id, address block, shared, the house's own |
 * | GET /admin/budgets       | `limit?` | `{addresses}`: connections, bytes in memory, part of its work, blocked    |
 *
 * An address block has a name in what is stored, `payer`, which `/admin/usage` counts by.
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Budgets } from '../../../platform/budgets/budgets.ts'
import { checked } from '../../../platform/validate.ts'
import type { RelayHub } from '../../../relay/hub.ts'

export interface HoldersDeps {
  budgets: Pick<Budgets, 'work' | 'connections' | 'memory'>
  payerOf: (address: string) => string
  isAddressBlocked: (address: string) => boolean
  isClientBlocked: (clientId: string) => boolean
  /** Undefined where the process has no relay. */
  relay: Pick<RelayHub, 'connected'> | undefined
}

export const Limit = z.object({ limit: z.coerce.number().int().min(1).max(1000).default(100) })
const limitOf = (c: Context) => checked(Limit, c.req.query()).limit

export const adminHolders = (room: () => HoldersDeps): Hono => {
  const app = new Hono()

  app.get('/admin/connections', (c) => {
    const { relay, isAddressBlocked, isClientBlocked } = room()
    const { total, connections } = relay?.connected(limitOf(c)) ?? { total: 0, connections: [] }
    const shown = connections.map((one) => ({
      ...one,
      isBlocked: isAddressBlocked(one.address) || isClientBlocked(one.clientId),
    }))
    return c.json({ total, connections: shown })
  })

  app.get('/admin/budgets', (c) => {
    const limit = limitOf(c)
    const { budgets, payerOf, isAddressBlocked } = room()
    const rows = new Map<string, { connections: number; memoryBytes: number; workUsed: number }>()
    const row = (owner: string) => {
      const known = rows.get(owner) ?? { connections: 0, memoryBytes: 0, workUsed: 0 }
      rows.set(owner, known)
      return known
    }
    for (const { owner, held } of budgets.connections.holders(limit)) row(owner).connections = held
    for (const { owner, held } of budgets.memory.holders(limit)) row(owner).memoryBytes = held
    for (const { owner, used } of budgets.work.users(limit))
      row(owner).workUsed = Math.round(used * 1000) / 1000
    const addresses = [...rows]
      .filter(([address]) => address !== '')
      .map(([address, held]) => ({
        ...{ address, payer: payerOf(address), ...held },
        isBlocked: isAddressBlocked(address),
      }))
      .sort((a, b) => b.workUsed - a.workUsed || b.connections - a.connections)
    return c.json({ addresses: addresses.slice(0, limit) })
  })
  return app
}
