/**
 * A wallet's requests to the notify server that wait for their answer. Answers are found by topic and JSON-RPC id;
 * devices of one account share their topics, so the answers to another device come by here too and are nobody's.
 */
import type { z } from 'zod'
import type { Clock } from '../../../platform/runtime/clock.ts'
import { didPkh } from '../../../protocol/did.ts'
import { fromRpcFailure, ProtocolError } from '../../../protocol/errors.ts'
import { payloadIds, type RpcFailure, type RpcResult, rpcRequest } from '../../../protocol/jsonrpc.ts'
import { signJwt, verifyJwt } from '../../../protocol/jwt.ts'
import type { SigningKey } from '../../../protocol/keys.ts'
import type { NotifyMethod } from '../../../protocol/notify-methods.ts'
import type { RelayClient } from '../../../relay/client/index.ts'

/** Version of the wallet's JWTs: from "1" on, the server does not tell a device of its own changes. */
export const MJV = '1'

/** A row of the method table, of which only the schema of the answer matters to the types. */
export type Row<S extends z.ZodType> = Omit<NotifyMethod, 'responseClaims'> & { responseClaims: S }

export interface Question<S extends z.ZodType, R> {
  topic: string
  seal: (plaintext: string) => string
  responseTopic: string
  /** did:key of who is asked, and must have signed the answer. */
  of: string
  claims: Record<string, unknown>
  /** Takes over what was answered; the relay is told that the answer arrived when this has resolved. */
  apply: (claims: z.output<S>) => R | Promise<R>
}

export const createRequests = (
  {
    relay,
    clock,
    randomBytes,
  }: {
    relay: Pick<RelayClient, 'publish'>
    clock: Clock
    randomBytes: (length: number) => Uint8Array
  },
  {
    account,
    identity,
    timeout,
    onUnknownIdentity,
  }: {
    account: string
    identity: () => SigningKey
    timeout: number
    /** The key server does not know the identity key (any more). */
    onUnknownIdentity: () => void
  },
) => {
  const nextId = payloadIds(clock.now, randomBytes)
  const pending = new Map<
    string,
    { take: (rpc: RpcResult | RpcFailure) => Promise<void>; fail: (error: unknown) => void }
  >()
  const nameOf = (topic: string, idText: string) => `${topic} ${idText}`

  return {
    /** Throws what the server answered, or `unavailable` when it did not answer in time. */
    ask<S extends z.ZodType, R>(row: Row<S>, question: Question<S, R>): Promise<R> {
      const { topic, seal, responseTopic, of, claims, apply } = question
      const id = nextId()
      const name = nameOf(responseTopic, String(id))
      const key = identity()
      const iat = Math.floor(clock.now() / 1000)
      const jwt = signJwt(
        {
          iat,
          exp: iat + row.requestTtl,
          iss: key.did,
          aud: of,
          sub: didPkh(account),
          act: row.requestAct,
          mjv: MJV,
          // A JWT counts once; what is asked twice within a second is two requests.
          jti: String(id),
          ...claims,
        },
        key,
      )

      const read = (rpc: RpcResult | RpcFailure): z.output<S> => {
        if (rpc.kind === 'failure') throw fromRpcFailure(rpc.code, rpc.message)
        const { result } = rpc
        const token =
          result instanceof Object ? new Map(Object.entries(result)).get(row.resultParam) : undefined
        if (typeof token !== 'string') throw new ProtocolError('bad_request', 'the answer has no JWT')
        const expected = { now: clock.now(), act: row.responseAct, issuer: of, audience: key.did }
        const parsed = row.responseClaims.safeParse(verifyJwt(token, expected))
        if (!parsed.success) throw new ProtocolError('bad_request', 'the answer has other claims')
        return parsed.data
      }

      return new Promise<R>((resolve, reject) => {
        const over = () => {
          pending.delete(name)
          timer[Symbol.dispose]()
        }
        const fail = (error: unknown) => {
          over()
          reject(error)
        }
        const timer = clock.after(timeout, () =>
          fail(new ProtocolError('unavailable', `${row.method} was not answered within ${timeout / 1000} s`)),
        )
        pending.set(name, {
          fail,
          // The time runs on: taking over may have to wait for the relay.
          async take(rpc) {
            pending.delete(name)
            try {
              resolve(await apply(read(rpc)))
            } catch (error) {
              if (error instanceof ProtocolError && error.code === 'identity_unknown') onUnknownIdentity()
              reject(error)
            }
            over()
          },
        })
        const message = seal(rpcRequest(id, row.method, { [row.requestParam]: jwt }))
        relay.publish({ topic, message, tag: row.requestTag, ttl: row.requestTtl }).catch(fail)
      })
    },

    /** An answer came; resolves when whoever asked has taken it over. */
    async answered(topic: string, rpc: RpcResult | RpcFailure): Promise<void> {
      await pending.get(nameOf(topic, rpc.idText))?.take(rpc)
    },

    failAll(error: ProtocolError): void {
      for (const { fail } of [...pending.values()]) fail(error)
    },
  }
}
