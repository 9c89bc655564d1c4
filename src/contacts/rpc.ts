/**
 * JSON-RPC 2.0 in front of the methods: text in, text out, no transport.
 *
 * Members of a batch are done one after the other, so that signatures over successive nonces may come together. What
 * has no id is done, and not answered. Ids are echoed byte for byte.
 *
 * | code   | when                                                                    |
 * |--------|-------------------------------------------------------------------------|
 * | -32700 | it is not JSON                                                          |
 * | -32600 | no request, an empty batch or one of too many, a batch with too much to answer, another method than the URL's |
 * | -32601 | no such method                                                          |
 * | -32602 | wrong parameters, a DID that is none                                    |
 * | 403    | `User not authorized for installation.`                                 |
 * | 409    | the account has too many installations                                  |
 * | 429    | too many requests                                                       |
 * | -32000 | our fault, or a did document that could not be had; the unexpected with an id that the log has, too |
 */

import type { Payer } from '../platform/budgets/payer.ts'
import { WORK_COST } from '../platform/budgets/work-budget.ts'
import { asProtocolError } from '../platform/net/http.ts'
import type { Log, Meter } from '../platform/telemetry.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { batchOf, idTextOf, parseRpc, rpcFailure, rpcResult } from '../protocol/jsonrpc.ts'
import type { Method } from './methods.ts'

const MAX_BATCH_SIZE = 50
/** Characters of a batch's answers, after which no more is fetched: a few words could ask for many MiB otherwise. */
const MAX_ANSWER_CHARACTERS = 2 * 1024 * 1024
const NOT_AUTHORIZED = 'User not authorized for installation.'

export interface RpcDeps {
  methods: ReadonlyMap<string, Method>
  log: Log
  meter: Meter
  newId: () => string
}

/** `urlMethod`: what the URL names; every request must be for it. Answers undefined when nobody wants an answer. */
export type AnswerRpc = (text: string, payer: Payer, urlMethod?: string) => Promise<string | undefined>

/** The code and the sentence of what is expected to go wrong. */
export const failureOf = (error: ProtocolError): { code: number; message: string } => {
  if (error.code === 'forbidden') return { code: 403, message: NOT_AUTHORIZED }
  if (error.code === 'rate_limited') return { code: 429, message: error.message }
  return { code: error.rpc, message: error.message }
}

const call = async (
  { methods, meter }: Pick<RpcDeps, 'methods' | 'meter'>,
  { method, params }: { method: string; params: unknown },
  payer: Payer,
  urlMethod: string | undefined,
): Promise<unknown> => {
  if (urlMethod !== undefined && method !== urlMethod) {
    throw new ProtocolError('bad_request', 'the URL names another method')
  }
  const run = methods.get(method)
  if (!run) throw new ProtocolError('unknown_method')
  meter.count('contacts_requests_total', { method })
  return run(params, payer)
}

export const createRpc = (deps: RpcDeps): AnswerRpc => {
  const { log, newId } = deps
  const failed = (idText: string | null, thrown: unknown): string => {
    const known = asProtocolError(thrown)
    const isOurs = !known || (known.http >= 500 && known.code !== 'unavailable')
    const { code, message } = failureOf(known ?? new ProtocolError('internal'))
    if (known?.code === 'unavailable') {
      log.warn({ err: known }, 'A request about installations could not be served now')
    }
    if (!isOurs) return rpcFailure(idText, code, message)
    const id = newId()
    log.error({ err: thrown, id }, 'A request about installations failed unexpectedly')
    return rpcFailure(idText, code, `${message} (${id})`)
  }

  /** `isFull`: the batch has enough to answer; what wants no answer is done all the same. */
  const one = async (
    text: string,
    payer: Payer,
    urlMethod: string | undefined,
    isFull = false,
  ): Promise<string | undefined> => {
    let idText: string | null | undefined = idTextOf(text) ?? null
    try {
      const message = parseRpc(text)
      if (message.kind !== 'request' && message.kind !== 'notification') {
        throw new ProtocolError('bad_request', 'it is not a request')
      }
      idText = message.idText
      if (isFull && idText !== undefined) throw new ProtocolError('too_large', 'ask for the rest by itself')
      const result = await call(deps, message, payer, urlMethod)
      return idText === undefined ? undefined : rpcResult(idText, result)
    } catch (error) {
      if (idText !== undefined) return failed(idText, error)
      failed(null, error)
      return undefined
    }
  }

  return async (text, payer, urlMethod) => {
    try {
      const members = batchOf(text)
      if (!members) return await one(text, payer, urlMethod)
      if (members.length === 0) throw new ProtocolError('bad_request', 'the batch is empty')
      if (members.length > MAX_BATCH_SIZE) {
        throw new ProtocolError('bad_request', `a batch has at most ${MAX_BATCH_SIZE} requests`)
      }
      await payer.work(members.length * WORK_COST.item)
      const answers: string[] = []
      let length = 0
      for (const member of members) {
        const answer = await one(member, payer, urlMethod, length > MAX_ANSWER_CHARACTERS)
        if (answer === undefined) continue
        answers.push(answer)
        length += answer.length
      }
      return answers.length === 0 ? undefined : `[${answers.join(',')}]`
    } catch (error) {
      return failed(null, error)
    }
  }
}
