/**
 * The wallet's end of a session: JSON-RPC 2.0 requests in, answers out, one call a session.
 *
 * | what comes | answer | the session |
 * |---|---|---|
 * | no JSON, no request, or one while another is pending | −32600 | goes on |
 * | an unknown method | −32601 | goes on |
 * | parameters that the method does not take | −32602 | goes on |
 * | a call that the person refused | −32000 | is over |
 * | a call that nothing satisfies, that failed | −32001, −32603 | is over |
 * | a call | its result | is over |
 * | a notification: it is ignored, because it has no answer | none | goes on |
 * | an answer: this end makes no calls | none | goes on |
 *
 * No result of a method that needs approval leaves the wallet unless the person has approved during the call.
 */
import * as z from 'zod'
import { ProtocolError } from '../../protocol/errors.ts'
import { idTextOf, parseRpc, type RpcRequest, rpcFailure, rpcResult } from '../../protocol/jsonrpc.ts'
import type { ApprovalRequest, Approve, MethodContext, SessionMethod, SessionMethods } from './method.ts'
import { RETRYABLE_CODES, SessionError } from './method.ts'

export interface DispatcherDeps {
  methods: SessionMethods
  approve: Approve
  now: () => number
  /** Called with what a handler threw. The dapp does not learn it. */
  failed?: (error: unknown, method: string) => void
}

/** What a message of the dapp leads to. */
export interface Dispatched {
  reply?: string
  /** The call that the session was for; the session is over. */
  ended?: { method: string; code?: number }
}

export interface Dispatcher {
  /** Never rejects. */
  receive(text: string): Promise<Dispatched>
}

const MAX_METHOD_LENGTH = 256
/** Beyond what every JSON-RPC message is held to. */
const strictRequest = z.looseObject({
  method: z.string().min(1).max(MAX_METHOD_LENGTH),
  params: z.union([z.record(z.string(), z.unknown()), z.array(z.unknown())]).optional(),
  result: z.undefined().optional(),
  error: z.undefined().optional(),
})

type Read = RpcRequest | 'ignored' | undefined

/** Undefined: it is no request. */
const read = (text: string): Read => {
  try {
    const message = parseRpc(text)
    if (message.kind === 'result' || message.kind === 'failure') return 'ignored'
    if (!strictRequest.safeParse(JSON.parse(text)).success) return undefined
    return message.kind === 'request' ? message : 'ignored'
  } catch (error) {
    if (error instanceof ProtocolError) return undefined
    throw error
  }
}

/** Asks the person, and remembers the answer. */
const createApproval = (approve: Approve, request: ApprovalRequest) => {
  let isGranted = false
  let isDenied = false
  const ask: MethodContext['approve'] = async (shown = {}) => {
    const { choices } = shown
    const answer = await approve({ ...request, ...shown })
    const [first] = choices ?? []
    const choice = typeof answer === 'object' ? answer.choice : first?.id
    const isThere =
      choices === undefined || choices.length === 0
        ? typeof answer !== 'object'
        : choices.some(({ id }) => id === choice)
    if (answer === false || !isThere) {
      isDenied = true
      throw new SessionError('rejected')
    }
    isGranted = true
    return choice
  }
  return { ask, isApproved: () => isGranted && !isDenied, isDenied: () => isDenied }
}

const run = async (
  { schema, approval, handler }: SessionMethod,
  request: { method: string; params: unknown },
  { approve, now }: Pick<DispatcherDeps, 'approve' | 'now'>,
): Promise<unknown> => {
  const parsed = schema.safeParse(request.params)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    const where = issue?.path.map(String).join('.') ?? ''
    throw new SessionError('invalid_params', where === '' ? undefined : `Invalid parameters: ${where}`)
  }
  const params = parsed.data
  const person = createApproval(approve, { method: request.method, params })
  if (approval === 'first') await person.ask()
  const result = await handler(params, { approve: person.ask, now })
  if (person.isDenied()) throw new SessionError('rejected')
  if (approval !== 'none' && !person.isApproved()) throw new Error('The handler did not ask the person')
  return result
}

export const createDispatcher = (deps: DispatcherDeps): Dispatcher => {
  const { methods, failed = () => {} } = deps
  let isPending = false
  let isOver = false

  const failure = (idText: string | null, error: SessionError): string =>
    rpcFailure(idText, error.code, error.message)

  const call = async ({ idText, method, params }: RpcRequest): Promise<Dispatched> => {
    const known = Object.hasOwn(methods, method) ? methods[method] : undefined
    try {
      if (!known) throw new SessionError('method_not_found')
      const reply = rpcResult(idText, await run(known, { method, params }, deps))
      return { reply, ended: { method } }
    } catch (error) {
      const answered = error instanceof SessionError ? error : new SessionError('internal')
      if (answered !== error) failed(error, method)
      const reply = failure(idText, answered)
      return RETRYABLE_CODES.has(answered.code)
        ? { reply }
        : { reply, ended: { method, code: answered.code } }
    }
  }

  return {
    async receive(text) {
      if (isOver) return {}
      const request = read(text)
      if (request === 'ignored') return {}
      if (!request) return { reply: failure(idTextOf(text) ?? null, new SessionError('invalid_request')) }
      if (isPending) {
        return { reply: failure(request.idText, new SessionError('invalid_request', 'A call is pending')) }
      }
      isPending = true
      const dispatched = await call(request)
      isPending = false
      isOver = dispatched.ended !== undefined
      return dispatched
    },
  }
}
