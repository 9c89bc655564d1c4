/**
 * The client of the message queues: puts messages into anybody's queue and reads one's own. Node and browsers.
 *
 *     const mq = mqClient({ url: 'https://belfry.example.com', domain: 'default', ...ed25519Signer(key), agreementKey })
 *     await mq.put(theirDid, 'hello', { sealTo: theirX25519Key })
 *     for await (const { text } of mq.messages(signal)) show(text)
 *
 * What is sealed is a type-1 envelope from a key of its own, made for this message and forgotten: the hub sees who may
 * read and how much, nothing else. Who sent it, it tells with `signed` only.
 */

import type * as z from 'zod'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../platform/net/fetch-json.ts'
import { type Clock, pause, systemClock } from '../platform/runtime/clock.ts'
import { openEnvelope, parseEnvelope, sealType1 } from '../protocol/envelope.ts'
import { fromSentence, isErrorCode, ProtocolError } from '../protocol/errors.ts'
import { deriveSymKey, generateAgreementKey, type KeyPair } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'
import { hashDid } from './dids.ts'
import { FailureAnswer, MessageAnswer, PutAnswer, TokenAnswer } from './schema.ts'
import { type MqSigner, messageProofText } from './signers.ts'

export { accountSigner, ed25519Signer, type MqSigner, secp256k1Signer, webSigner } from './signers.ts'

export interface MqClientOptions extends MqSigner {
  url: string
  /** Default: `default`. */
  domain?: string
  /** X25519: opens what is sealed to it. */
  agreementKey?: KeyPair
}

export interface ReceivedMessage {
  id: string
  /** What was put, opened where it was sealed to our key. */
  text: string
  isSealed: boolean
  /** DID of who proved to have put it. */
  sender?: string
  /** That proof is good for this message alone. */
  messageSigned?: boolean
}

export interface PutOptions {
  /** X25519 public key of the reader. Without it the hub can read the message. */
  sealTo?: Uint8Array
  /** Tells the reader our DID, with a proof. */
  signed?: boolean
}

export interface MqClient {
  readonly did: string
  /** Into the queue of that DID. Resolves with its id when it is durable. */
  put(did: string, text: string, options?: PutOptions): Promise<string>
  /** The oldest message of ours; waits some seconds for one. */
  peek(signal?: AbortSignal): Promise<ReceivedMessage | undefined>
  /** The same, and removes it before it is sent: it is lost if the answer is. By id: throws where it is not there. */
  take(options?: { id?: string; signal?: AbortSignal }): Promise<ReceivedMessage | undefined>
  /** Idempotent. */
  delete(id: string): Promise<void>
  /**
   * One after the other, for ever or until the signal: each is deleted when the next one is asked for, so one that was
   * being worked on when everything ended comes again. Goes on after failures that pass; throws those that do not.
   */
  messages(signal?: AbortSignal): AsyncGenerator<ReceivedMessage, void, void>
}

/** A token is not used in its last minute, ms. */
const TOKEN_MARGIN_MS = 60_000
/** Longer than any hub holds a poll, ms. */
const POLL_TIMEOUT_MS = 60_000
const MIN_RETRY_MS = 500
const MAX_RETRY_MS = 30_000

const RETRIED_CODES: ReadonlySet<string> = new Set(['unavailable', 'rate_limited', 'internal'])

interface Grant {
  token: string
  expires: number
  signature: string
}

export const mqClient = (options: MqClientOptions, deps: Partial<FetchDeps> = {}): MqClient => {
  const { did, sign, agreementKey, domain = 'default' } = options
  const clock: Clock = deps.clock ?? systemClock
  const fetch = deps.fetch ?? globalThis.fetch.bind(globalThis)
  const base = `${withoutTrailingSlashes(options.url)}/mq/${encodeURIComponent(domain)}`
  const own = hashDid(did)
  let grant: Promise<Grant> | undefined

  const ask = async <T>(
    path: string,
    request: JsonRequest,
    schema?: z.ZodType<T>,
  ): Promise<T | undefined> => {
    const { status, body } = await fetchJson({ clock, fetch }, base + path, request).catch((error) => {
      // The path holds a signature, and the sentence would hold the path.
      const cause: unknown = error instanceof Error ? error.cause : undefined
      throw new ProtocolError('unavailable', 'no answer from the message hub', { cause })
    })
    if (status === 204) return undefined
    if (status !== 200) {
      throw failureOf(status, body)
    }
    if (!schema) return undefined
    const parsed = schema.safeParse(body)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the message hub answered something else')
  }

  const tokenFor = async (hash: string) => {
    const answer = await ask(`/${hash}/token`, {}, TokenAnswer)
    if (!answer) throw new ProtocolError('unavailable', 'the message hub gave no token')
    return answer
  }
  const newGrant = async (): Promise<Grant> => {
    const { token, expires } = await tokenFor(own)
    return { token, expires, signature: encodeURIComponent(await sign(token)) }
  }
  const granted = async (): Promise<Grant> => {
    grant ??= newGrant()
    const mine = grant
    try {
      const held = await mine
      if (held.expires - TOKEN_MARGIN_MS > clock.now()) return held
    } catch (error) {
      if (grant === mine) grant = undefined
      throw error
    }
    if (grant === mine) grant = undefined
    return granted()
  }

  /** Once more with another token when this one is not taken any more: the hub may have other keys by now. */
  const asReader = async <T>(
    path: (signature: string) => string,
    request: JsonRequest,
    schema?: z.ZodType<T>,
  ): Promise<T | undefined> => {
    const attempt = ({ token, signature }: Grant) =>
      ask(path(signature), { ...request, headers: { 'x-mq-authorization': token } }, schema)
    const held = await granted()
    try {
      return await attempt(held)
    } catch (error) {
      if (!(error instanceof ProtocolError) || error.code !== 'forbidden') throw error
      grant = undefined
      return attempt(await granted())
    }
  }

  const opened = (message: string): string | undefined => {
    if (!agreementKey) return undefined
    try {
      const envelope = parseEnvelope(message)
      if (envelope.type !== 1) return undefined
      return openEnvelope(envelope, deriveSymKey(agreementKey.privateKey, envelope.senderPublicKey))
    } catch {
      // Whoever has a token puts what they like.
      return undefined
    }
  }
  const received = (answer: MessageAnswer | undefined): ReceivedMessage | undefined => {
    if (!answer) return undefined
    const { messageId: id, message, sender, messageSigned } = answer
    const text = opened(message)
    return {
      id,
      text: text ?? message,
      isSealed: text !== undefined,
      ...(sender !== undefined && { sender }),
      ...(messageSigned && { messageSigned }),
    }
  }
  const polling = (signal: AbortSignal | undefined): JsonRequest => ({
    patience: POLL_TIMEOUT_MS,
    ...(signal && { signal }),
  })

  const client: MqClient = {
    did,

    async put(to, text, { sealTo, signed = false } = {}) {
      const hash = hashDid(to)
      const { token } = await tokenFor(hash)
      const headers: Record<string, string> = { 'x-mq-authorization': token }
      const message = sealTo ? sealed(text, sealTo) : text
      if (signed) {
        headers['x-mq-sender'] = did
        headers['x-mq-message-signature'] = await sign(messageProofText(token, message))
      }
      const body = { message }
      const answer = await ask(`/put/${hash}`, { method: 'PUT', headers, body }, PutAnswer)
      if (!answer) throw new ProtocolError('unavailable', 'the message hub answered something else')
      return answer.messageId
    },

    async peek(signal) {
      return received(
        await asReader((signature) => `/get/${own}/${signature}`, polling(signal), MessageAnswer),
      )
    },

    async take({ id, signal } = {}) {
      const which = id === undefined ? '' : `${encodeURIComponent(id)}/`
      const path = (signature: string) => `/take/${own}/${which}${signature}`
      return received(await asReader(path, polling(signal), MessageAnswer))
    },

    async delete(id) {
      const path = (signature: string) => `/delete/${own}/${encodeURIComponent(id)}/${signature}`
      await asReader(path, { method: 'DELETE' })
    },

    async *messages(signal) {
      let wait = MIN_RETRY_MS
      let done: string | undefined
      while (!signal?.aborted) {
        try {
          if (done !== undefined) await client.delete(done)
          done = undefined
          const message = await client.peek(signal)
          wait = MIN_RETRY_MS
          if (!message || signal?.aborted) continue
          yield message
          done = message.id
        } catch (error) {
          if (signal?.aborted) return
          if (!(error instanceof ProtocolError) || !RETRIED_CODES.has(error.code)) throw error
          await pause(clock, wait, signal)
          wait = Math.min(2 * wait, MAX_RETRY_MS)
        }
      }
      // The last one was done with, too.
      if (done !== undefined) await client.delete(done)
    },
  }
  return client
}

/** The hub says which failure it is; others that speak the same protocol have only a status. */
const failureOf = (status: number, body: unknown): ProtocolError => {
  const { error = '', code = '' } = FailureAnswer.safeParse(body).data ?? {}
  return (
    fromSentence(error) ?? (isErrorCode(code) ? new ProtocolError(code, error) : httpFailure(status, error))
  )
}

const sealed = (text: string, sealTo: Uint8Array): string => {
  const { privateKey, publicKey } = generateAgreementKey()
  return sealType1({ key: deriveSymKey(privateKey, sealTo), senderPublicKey: publicKey, plaintext: text })
}
