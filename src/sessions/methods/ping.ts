import * as z from 'zod'
import type { SessionMethod } from '../wallet/method.ts'

/** `ping` → `{ts}`, ms. Nobody is asked. */
export const ping: SessionMethod<unknown, { ts: number }> = {
  schema: z.unknown(),
  approval: 'none',
  handler: async (_params, { now }) => ({ ts: now() }),
}
