/**
 * Who is kept out, for the operator; see `console/blocks`.
 *
 * | method, path                        | body                              | answer     |
 * |-------------------------------------|-----------------------------------|------------|
 * | GET    /admin/blocks                |                                   | `{blocks}` |
 * | POST   /admin/blocks                | `{kind, value, hours?, note?}`    | the block  |
 * | DELETE /admin/blocks                | `kind`, `value` (query)           | 204        |
 *
 * `kind` is `address` (of an IPv6 address its /64 is blocked), `client` (did:key) or `payer` (what `/admin/usage` names).
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { jsonBody } from '../../../platform/net/http.ts'
import type { Clock } from '../../../platform/runtime/clock.ts'
import { HOUR_MS } from '../../../platform/units.ts'
import { checked } from '../../../platform/validate.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import { addressNamed } from '../../console/blocks.ts'
import { BLOCK_KINDS, type Block, type ConsoleStore } from '../../console/store.ts'

export interface BlocksDeps {
  blocks: Pick<ConsoleStore, 'blocks' | 'block' | 'unblock'>
  /** Has what changed take effect in this process at once. */
  loadBlocks: () => Promise<void>
  addressOf: (c: Context) => string
  payerOf: (address: string) => string
  clock: Pick<Clock, 'now'>
}

const MAX_HOURS = 90 * 24
export const Named = z.object({ kind: z.enum(BLOCK_KINDS), value: z.string().trim().min(1).max(256) })
export const NewBlock = Named.extend({
  hours: z.number().int().min(1).max(MAX_HOURS).default(24),
  note: z.string().max(200).default(''),
})

const badValue = (detail: string) => new ProtocolError('bad_params', detail, { field: 'value' })

const valueNamed = ({ kind, value }: z.output<typeof Named>): string => {
  if (kind === 'address') {
    const address = addressNamed(value)
    if (address === undefined) throw badValue('must be an IPv4 or IPv6 address')
    return address
  }
  if (kind === 'client' && !/^did:key:z[1-9A-HJ-NP-Za-km-z]{10,100}$/.test(value))
    throw badValue('must be a did:key')
  if (kind === 'payer' && !/^[\w-]{11}$/.test(value)) throw badValue('must be the 11 characters of a payer')
  return value
}

const shown = ({ createdAt, expiresAt, ...block }: Block) => ({
  ...block,
  ...{ createdAt: new Date(createdAt).toISOString(), expiresAt: new Date(expiresAt).toISOString() },
})

export const adminBlocks = (room: () => BlocksDeps): Hono => {
  const app = new Hono()

  app.get('/admin/blocks', async (c) => {
    const { blocks, clock } = room()
    return c.json({ blocks: (await blocks.blocks(clock.now())).map(shown) })
  })
  app.post('/admin/blocks', jsonBody(NewBlock), async (c) => {
    const { blocks, loadBlocks, addressOf, payerOf, clock } = room()
    const { kind, hours, note, ...given } = c.req.valid('json')
    const value = valueNamed({ kind, ...given })
    const own = addressOf(c)
    if (own !== '' && (value === own || value === payerOf(own)))
      throw new ProtocolError('conflict', 'it is the address that you ask from')
    const now = clock.now()
    const block: Block = { kind, value, note, createdAt: now, expiresAt: now + hours * HOUR_MS }
    await blocks.block(block, now)
    await loadBlocks()
    return c.json(shown(block))
  })
  app.delete('/admin/blocks', async (c) => {
    const { blocks, loadBlocks } = room()
    const named = checked(Named, c.req.query())
    if (!(await blocks.unblock({ kind: named.kind, value: valueNamed(named) })))
      throw new ProtocolError('not_found', 'no such block')
    await loadBlocks()
    return c.body(null, 204)
  })
  return app
}
