import type { Attack } from './attack.ts'
import { foreignHostAttacks } from './attacks/foreign-hosts.ts'
import { notifyAttacks } from './attacks/notify.ts'
import { relayAttacks } from './attacks/relay.ts'
import { roomAttacks } from './attacks/rooms.ts'

/** By the way in. */
export const ATTACKS: readonly Attack[] = [
  ...relayAttacks,
  ...notifyAttacks,
  ...roomAttacks,
  ...foreignHostAttacks,
]
