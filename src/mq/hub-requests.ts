/**
 * Requests of a client to a hub: each answer is checked, and what belongs to the reader is asked for with a token that the
 * reader signed. Such a token is used for as long as it is good.
 */
import type * as z from 'zod'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../platform/net/fetch-json.ts'
import { fromSentence, isErrorCode, ProtocolError } from '../protocol/errors.ts'
import { FailureAnswer, TokenAnswer } from './schema.ts'
import type { MqSigner } from './signers.ts'

/** A token is not used in its last minute. */
const TOKEN_MARGIN_MS = 60_000

interface SignedToken {
  token: string
  /** Unix ms. */
  expires: number
  /** Encoded for a path. */
  signature: string
}

export interface HubRequests {
  /** Undefined for an empty answer, and where no schema is given. Throws what the hub says, or `unavailable`. */
  ask<T>(path: string, request: JsonRequest, schema?: z.ZodType<T>): Promise<T | undefined>
  /** A token for the queue of that hash. */
  tokenFor(hash: string): Promise<{ token: string; expires: number }>
  /** The same as `ask`, for what the reader of our own queue alone may do. */
  askAsReader<T>(
    path: (signature: string) => string,
    request: JsonRequest,
    schema?: z.ZodType<T>,
  ): Promise<T | undefined>
}

/** The hub says which failure it is; others that speak the same protocol have only a status. */
const failureOf = (status: number, body: unknown): ProtocolError => {
  const { error = '', code = '' } = FailureAnswer.safeParse(body).data ?? {}
  return (
    fromSentence(error) ?? (isErrorCode(code) ? new ProtocolError(code, error) : httpFailure(status, error))
  )
}

/** `base`: the URL of the hub's domain. `ownHash`: names the queue of the signer. */
export const createHubRequests = (
  deps: FetchDeps & { sign: MqSigner['sign'] },
  { base, ownHash }: { base: string; ownHash: string },
): HubRequests => {
  const { clock, fetch, sign } = deps
  let signedToken: Promise<SignedToken> | undefined

  const ask: HubRequests['ask'] = async (path, request, schema) => {
    const { status, body } = await fetchJson({ clock, fetch }, base + path, request).catch((error) => {
      // The path holds a signature, and the sentence would hold the path.
      const cause: unknown = error instanceof Error ? error.cause : undefined
      throw new ProtocolError('unavailable', 'no answer from the message hub', { cause })
    })
    if (status === 204) return undefined
    if (status !== 200) throw failureOf(status, body)
    if (!schema) return undefined
    const parsed = schema.safeParse(body)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the message hub answered something else')
  }

  const tokenFor: HubRequests['tokenFor'] = async (hash) => {
    const answer = await ask(`/${hash}/token`, {}, TokenAnswer)
    if (!answer) throw new ProtocolError('unavailable', 'the message hub gave no token')
    return answer
  }

  const newSignedToken = async (): Promise<SignedToken> => {
    const { token, expires } = await tokenFor(ownHash)
    return { token, expires, signature: encodeURIComponent(await sign(token)) }
  }

  const currentToken = async (): Promise<SignedToken> => {
    signedToken ??= newSignedToken()
    const mine = signedToken
    try {
      const current = await mine
      if (current.expires - TOKEN_MARGIN_MS > clock.now()) return current
    } catch (error) {
      if (signedToken === mine) signedToken = undefined
      throw error
    }
    if (signedToken === mine) signedToken = undefined
    return currentToken()
  }

  return {
    ask,
    tokenFor,
    async askAsReader(path, request, schema) {
      const attempt = ({ token, signature }: SignedToken) =>
        ask(path(signature), { ...request, headers: { 'x-mq-authorization': token } }, schema)
      const current = await currentToken()
      try {
        return await attempt(current)
      } catch (error) {
        if (!(error instanceof ProtocolError) || error.code !== 'forbidden') throw error
        // Once more with another token: the hub may have other keys by now.
        signedToken = undefined
        return attempt(await currentToken())
      }
    },
  }
}
