/** Whose connections the session relay takes. */
import type { IncomingMessage } from 'node:http'
import type { Shares } from '../../platform/budgets/shares.ts'
import type { SessionRelay } from './service.ts'

/** Which connections are admitted. */
export interface SessionAdmission {
  /** By address. */
  connections: Shares
  /** Bytes that peers have not read, by address. */
  memory: Shares
  addressOf(request: IncomingMessage): string
  /** Throws a `ProtocolError` for an address that is not admitted now. */
  admit(address: string, what: 'session' | 'sessionSocket'): Promise<void>
}

/** Whom connections are for, and who gets one. */
export interface Gate {
  relay: SessionRelay
  admission: SessionAdmission
}
