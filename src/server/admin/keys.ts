/**
 * Registered identity keys for the operator.
 *
 * | method, path              | query              | answer             |
 * |---------------------------|--------------------|--------------------|
 * | GET  /admin/keys          | `after?`, `limit?` | `{keys, next}`     |
 * | GET  /admin/keys/:key     |                    | the registered key |
 */
import { Hono } from 'hono'
import type { KeyRegistry } from '../../keys/service.ts'
import { type IdentityEntry, identityCursor } from '../../keys/store.ts'
import { page } from './page.ts'

const shownKey = ({ identityKey, account, cacao, revokedAt }: IdentityEntry) => ({
  identityKey,
  account,
  revokedAt: revokedAt === undefined ? null : new Date(revokedAt).toISOString(),
  cacao: cacao === '' ? null : JSON.parse(cacao),
})

/** `registry` throws where this process has no key registry. */
export const adminKeys = (registry: () => KeyRegistry): Hono => {
  const app = new Hono()

  app.get('/admin/keys', async (c) => {
    const { limit, ...start } = page(c)
    const keys = await registry().list({ limit, ...start })
    const last = keys.at(-1)
    return c.json({
      keys: keys.map(shownKey),
      next: keys.length < limit || !last ? null : identityCursor(last),
    })
  })

  app.get('/admin/keys/:key', async (c) => {
    const key = c.req.param('key')
    const cacao = await registry().identity(key)
    const identityKey = key.startsWith('did:key:') ? key : `did:key:${key}`
    return c.json({ identityKey, cacao: JSON.parse(cacao) })
  })

  return app
}
