/** The descriptions of all rooms, in the order of the document. Loaded when the document is asked for. */
import { ARCHIVE } from '../../archive/openapi.ts'
import { CHAINS } from '../../chains/openapi.ts'
import { CONTACTS } from '../../contacts/openapi.ts'
import { EXPLORER } from '../../explorer/openapi.ts'
import { KEYS } from '../../keys/openapi.ts'
import { MQ } from '../../mq/http/openapi.ts'
import { NOTIFY } from '../../notify/http/openapi/room.ts'
import type { RoomDescription } from '../../platform/net/description.ts'
import { PUBLISHED_PUSH, PUSH } from '../../push/http/openapi.ts'
import { RELAY } from '../../relay/openapi.ts'
import { OPERATOR } from '../../sessions/operator/openapi.ts'
import { SESSION_SOCKETS, SESSIONS } from '../../sessions/relay/openapi.ts'
import { VERIFY } from '../../verify/openapi.ts'
import { ADMIN } from './admin/room.ts'
import { CONSOLE } from './console.ts'
import { OPS, PAGES } from './ops.ts'

export const ROOM_DESCRIPTIONS: readonly RoomDescription[] = [
  ...[NOTIFY, KEYS, RELAY, ARCHIVE, CONTACTS, MQ, PUSH, PUBLISHED_PUSH, SESSIONS, SESSION_SOCKETS],
  ...[OPERATOR, VERIFY, CHAINS, EXPLORER, OPS, ADMIN, CONSOLE, PAGES],
]
