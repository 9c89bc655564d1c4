/** The operator room, put together. Off unless it is named: it keeps what dapps want approved, not what wallets need. */
import type { Hono } from 'hono'
import { ProtocolError } from '../../protocol/errors.ts'
import { operatorRoutes } from '../../sessions/operator/http.ts'
import { createOperator } from '../../sessions/operator/service.ts'
import { sameText } from '../console/operator.ts'
import type { RoomContext } from '../context.ts'
import type { NotifyRoom } from './notify.ts'

/** As project ids are made. */
const PROJECT_ID = /^[\x21-\x7e]{1,64}$/

/** Projects have secrets where there is a notify room; without one only the admin token is known here. */
export const buildOperator = (
  { stores, clock, randomBytes, log }: RoomContext,
  adminToken: string,
  apps: Pick<NotifyRoom['apps'], 'authenticate'> | undefined,
): Hono => {
  const operator = createOperator({ store: stores.operator, clock, randomBytes })
  return operatorRoutes({
    operator,
    log,
    async authenticate(projectId, token) {
      if (!PROJECT_ID.test(projectId)) throw new ProtocolError('unauthenticated')
      if (sameText(token, adminToken)) return
      if (!apps) throw new ProtocolError('unauthenticated', 'the admin token')
      await apps.authenticate(projectId, token)
    },
  })
}
