/**
 * A wallet's requests to the notify server that wait for their answer. An answer is matched by topic and JSON-RPC id.
 * Devices of one account share topics, so answers to another device arrive, too, and are ignored.
 */
import type * as z from '#schema'
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
  /** did:key that the request is addressed to, and that must have signed the answer. */
  of: string
  claims: Record<string, unknown>
  /** Applies the answer; the answer is acknowledged to the relay when this has resolved. */
  apply: (claims: z.output<S>) => R | Promise<R>
}

interface RequestsDeps {
  relay: Pick<RelayClient, 'publish'>
  clock: Clock
  randomBytes: (length: number) => Uint8Array
}

interface RequestsOptions {
  account: string
  identity: () => SigningKey
  /** Ms. */
  timeout: number
  /** The key server does not know the identity key, or no longer. */
  onUnknownIdentity: () => void
}

interface Pending {
  take: (rpc: RpcResult | RpcFailure) => Promise<void>
  fail: (error: unknown) => void
}

/** The verified claims of an answer. Throws what the server answered, or `bad_request`. */
const answerClaims = <S extends z.ZodType>(
  row: Row<S>,
  rpc: RpcResult | RpcFailure,
  { now, issuer, audience }: { now: number; issuer: string; audience: string },
): z.output<S> => {
  if (rpc.kind === 'failure') throw fromRpcFailure(rpc.code, rpc.message)
  const { result } = rpc
  const token = result instanceof Object ? new Map(Object.entries(result)).get(row.resultParam) : undefined
  if (typeof token !== 'string') throw new ProtocolError('bad_request', 'the answer has no JWT')
  const expected = { now, act: row.responseAct, issuer, audience }
  const parsed = row.responseClaims.safeParse(verifyJwt(token, expected))
  if (!parsed.success) throw new ProtocolError('bad_request', 'the answer has other claims')
  return parsed.data
}

const nameOf = (topic: string, idText: string) => `${topic} ${idText}`

/** The requests that wait for their answer, by topic and JSON-RPC id. */
const createPending = ({
  clock,
  timeout,
  onUnknownIdentity,
}: { clock: Clock } & Pick<RequestsOptions, 'timeout' | 'onUnknownIdentity'>) => {
  const pending = new Map<string, Pending>()

  /** Settles with the answer, or with `unavailable` when none comes in time. `publish` sends the request. */
  const waitFor = <R>(
    name: string,
    method: string,
    apply: (rpc: RpcResult | RpcFailure) => Promise<R>,
    publish: () => Promise<void>,
  ): Promise<R> =>
    new Promise<R>((resolve, reject) => {
      const finish = () => {
        pending.delete(name)
        timer[Symbol.dispose]()
      }
      const fail = (error: unknown) => {
        finish()
        reject(error)
      }
      const timer = clock.after(timeout, () =>
        fail(new ProtocolError('unavailable', `${method} was not answered within ${timeout / 1000} s`)),
      )
      pending.set(name, {
        fail,
        // The time-out goes on: applying the answer may have to wait for the relay.
        async take(rpc) {
          pending.delete(name)
          try {
            resolve(await apply(rpc))
          } catch (error) {
            if (error instanceof ProtocolError && error.code === 'identity_unknown') onUnknownIdentity()
            reject(error)
          }
          finish()
        },
      })
      publish().catch(fail)
    })

  return { pending, waitFor }
}

export const createRequests = (
  { relay, clock, randomBytes }: RequestsDeps,
  { account, identity, timeout, onUnknownIdentity }: RequestsOptions,
) => {
  const nextId = payloadIds(clock.now, randomBytes)
  const { pending, waitFor } = createPending({ clock, timeout, onUnknownIdentity })

  return {
    /** Throws what the server answered, or `unavailable` when it did not answer in time. */
    ask<S extends z.ZodType, R>(row: Row<S>, question: Question<S, R>): Promise<R> {
      const { topic, seal, responseTopic, of, claims, apply } = question
      const id = nextId()
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
          // A JWT counts once; the id makes two requests within one second differ.
          jti: String(id),
          ...claims,
        },
        key,
      )

      const message = seal(rpcRequest(id, row.method, { [row.requestParam]: jwt }))
      return waitFor(
        nameOf(responseTopic, String(id)),
        row.method,
        async (rpc) => apply(answerClaims(row, rpc, { now: clock.now(), issuer: of, audience: key.did })),
        () => relay.publish({ topic, message, tag: row.requestTag, ttl: row.requestTtl }),
      )
    },

    /** Resolves when the request that this answers has applied it. */
    async answered(topic: string, rpc: RpcResult | RpcFailure): Promise<void> {
      await pending.get(nameOf(topic, rpc.idText))?.take(rpc)
    },

    failAll(error: ProtocolError): void {
      for (const { fail } of [...pending.values()]) fail(error)
    },
  }
}
