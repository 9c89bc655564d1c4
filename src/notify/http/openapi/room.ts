/** The routes of `http/routes.ts`, and of what it mounts, in the words of OpenAPI. */
import * as z from 'zod'
import type { RoomDescription } from '../../../platform/net/description.ts'
import { Domain } from '../schema.ts'
import { DAPP_OPERATIONS } from './dapps.ts'
import { LOOK_UP_OPERATIONS } from './look-ups.ts'
import { NOTIFICATION_OPERATIONS } from './notifications.ts'
import { RELAY_WEBHOOK_OPERATIONS, WEBHOOK_OPERATIONS } from './webhooks.ts'

export const NOTIFY: RoomDescription = {
  tag: { name: 'notify', description: 'Apps, notifications, subscribers and webhooks of a project' },
  params: {
    projectId: z.string().min(1).max(64).describe('Id of the project'),
    domain: Domain.describe('Domain of the app'),
    id: z.string().min(1).max(255).describe('Id of the thing'),
    event: z.string().min(1).max(64).describe('Id of the event'),
  },
  operations: [
    ...DAPP_OPERATIONS,
    ...NOTIFICATION_OPERATIONS,
    ...WEBHOOK_OPERATIONS,
    ...LOOK_UP_OPERATIONS,
    ...RELAY_WEBHOOK_OPERATIONS,
  ],
}
