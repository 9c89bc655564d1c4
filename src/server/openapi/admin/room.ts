/** The operator's way in, `admin/routes`, in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../../../platform/net/description.ts'
import { APP_OPERATIONS } from './apps.ts'
import { KEEPING_OPERATIONS } from './keeping.ts'
import { LIVE_OPERATIONS } from './live.ts'
import { PROJECT_OPERATIONS } from './projects.ts'

export const ADMIN: RoomDescription = {
  tag: {
    name: 'admin',
    description:
      "The operator's way in: the admin token, or a session of the console. Pages of other origins may not ask",
  },
  params: {
    domain: z.string().min(1).max(255).describe('Domain of the app'),
    id: z.string().min(1).max(255).describe('Id of the thing'),
    secretId: z.string().min(1).max(64).describe('Id of the secret'),
    webhook: z.string().min(1).max(64).describe('Id of the webhook'),
    event: z.string().min(1).max(64).describe('Id of the event'),
    account: z.string().min(1).max(256).describe('CAIP-10, on whatever chain'),
    key: z.string().min(1).max(256).describe('The identity key, with or without `did:key:`'),
    topic: z.string().min(1).max(255).describe('64 hex digits, the domain of an app, or `server`'),
  },
  operations: [...PROJECT_OPERATIONS, ...APP_OPERATIONS, ...KEEPING_OPERATIONS, ...LIVE_OPERATIONS],
}
