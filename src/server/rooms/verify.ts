/** Attestations, put together: the domains of declared apps, and a key of the server's root secret. */
import type { Hono } from 'hono'
import { verifyRoutes } from '../../verify/http.ts'
import { createAttestations } from '../../verify/service.ts'
import type { RoomContext } from '../context.ts'

export const buildVerify = ({ stores, clock, log, payerFor }: RoomContext, root: Uint8Array): Hono => {
  const isDeclared = async (domain: string) => (await stores.notify.app(domain)) !== undefined
  return verifyRoutes({ attestations: createAttestations({ isDeclared, clock }, root), payerFor, log })
}
