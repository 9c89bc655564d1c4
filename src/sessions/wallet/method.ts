/**
 * What a method of a wallet session is: a schema for its parameters and a handler, under the name that dapps call.
 *
 * The dispatcher holds every method but those of `approval: 'none'` to this: no result leaves the wallet unless
 * `approve` was asked during the call, and granted it.
 */
import type * as z from 'zod'

/** What a person is asked. */
export interface ApprovalRequest {
  method: string
  /** As the dapp sent them, checked. */
  params: unknown
  /** What the wallet found out and the person must see beside the parameters: a decoded microblock, for example. */
  details?: unknown
  /** When there is something to choose: what. The answer names one by its `id`. */
  choices?: readonly { id: string; label: string; details: unknown }[]
}

/** `true` takes the first choice where there are several; an object takes the one it names. */
export type ApprovalAnswer = boolean | { choice: string }

/** Asks the person who holds the wallet. */
export type Approve = (request: ApprovalRequest) => Promise<ApprovalAnswer>

export interface MethodContext {
  /**
   * Asks the person. Resolves with the id of the choice, or undefined when there was nothing to choose. Throws
   * `SessionError` −32000 when the answer was no, or named what was not there.
   */
  approve(shown?: Pick<ApprovalRequest, 'details' | 'choices'>): Promise<string | undefined>
  /** ms. */
  now(): number
}

export interface SessionMethod<Params = unknown, Result = unknown> {
  schema: z.ZodType<Params>
  /**
   * `first`: the dispatcher asks before the handler runs. `handler`: the handler asks, once it knows what to show.
   * `none`: nobody is asked (`ping`).
   */
  approval: 'first' | 'handler' | 'none'
  /** Throws `SessionError` for what the dapp is to hear; anything else is answered −32603 without its text. */
  handler(params: Params, context: MethodContext): Promise<Result>
}

/** By the name that dapps call. */
export type SessionMethods = Readonly<Record<string, SessionMethod>>

export const SESSION_ERRORS = {
  invalid_request: { code: -32600, message: 'Invalid request' },
  method_not_found: { code: -32601, message: 'Method not found' },
  invalid_params: { code: -32602, message: 'Invalid parameters' },
  internal: { code: -32603, message: 'Internal error' },
  rejected: { code: -32000, message: 'User rejected the request' },
  nothing_matches: { code: -32001, message: 'Nothing satisfies the query' },
} as const

/** After these errors the dapp may call again; any other answer ends the session. */
export const RETRYABLE_CODES: ReadonlySet<number> = new Set([
  SESSION_ERRORS.invalid_request.code,
  SESSION_ERRORS.method_not_found.code,
  SESSION_ERRORS.invalid_params.code,
])

/** An error that travels in the session, as JSON-RPC has it. */
export class SessionError extends Error {
  readonly code: number
  constructor(name: keyof typeof SESSION_ERRORS, message: string = SESSION_ERRORS[name].message) {
    super(message)
    this.name = 'SessionError'
    this.code = SESSION_ERRORS[name].code
  }
}
