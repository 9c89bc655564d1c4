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

import type { FetchDeps, JsonRequest } from '../platform/net/fetch-json.ts'
import { type Clock, pause, systemClock } from '../platform/runtime/clock.ts'
import { openEnvelope, parseEnvelope, sealType1 } from '../protocol/envelope.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { deriveSymKey, generateAgreementKey, type KeyPair } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'
import { hashDid } from './dids.ts'
import { createHubRequests } from './hub-requests.ts'
import { MessageAnswer, PutAnswer } from './schema.ts'
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

/** Longer than any hub holds a poll, ms. */
const POLL_TIMEOUT_MS = 60_000
const MIN_RETRY_MS = 500
const MAX_RETRY_MS = 30_000

const RETRIED_CODES: ReadonlySet<string> = new Set(['unavailable', 'rate_limited', 'internal'])

const sealed = (text: string, sealTo: Uint8Array): string => {
  const { privateKey, publicKey } = generateAgreementKey()
  return sealType1({ key: deriveSymKey(privateKey, sealTo), senderPublicKey: publicKey, plaintext: text })
}

/** The text of an envelope that is sealed to our key; undefined for what is not. */
const openSealed = (message: string, agreementKey: KeyPair | undefined): string | undefined => {
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

const receivedMessage = (
  answer: MessageAnswer | undefined,
  agreementKey: KeyPair | undefined,
): ReceivedMessage | undefined => {
  if (!answer) return undefined
  const { messageId: id, message, sender, messageSigned } = answer
  const text = openSealed(message, agreementKey)
  return {
    id,
    text: text ?? message,
    isSealed: text !== undefined,
    ...(sender !== undefined && { sender }),
    ...(messageSigned && { messageSigned }),
  }
}

const pollRequest = (signal: AbortSignal | undefined): JsonRequest => ({
  patience: POLL_TIMEOUT_MS,
  ...(signal && { signal }),
})

/** See `MqClient.messages`. */
async function* allMessages(
  client: Pick<MqClient, 'peek' | 'delete'>,
  clock: Clock,
  signal: AbortSignal | undefined,
): AsyncGenerator<ReceivedMessage, void, void> {
  let waitMs = MIN_RETRY_MS
  let done: string | undefined
  while (!signal?.aborted) {
    try {
      if (done !== undefined) await client.delete(done)
      done = undefined
      const message = await client.peek(signal)
      waitMs = MIN_RETRY_MS
      if (!message || signal?.aborted) continue
      yield message
      done = message.id
    } catch (error) {
      if (signal?.aborted) return
      if (!(error instanceof ProtocolError) || !RETRIED_CODES.has(error.code)) throw error
      await pause(clock, waitMs, signal)
      waitMs = Math.min(2 * waitMs, MAX_RETRY_MS)
    }
  }
  // The last one was done with, too.
  if (done !== undefined) await client.delete(done)
}

/**
 * A client for the message queues of agents.
 *
 * @param options where the service is, and who signs
 * @param deps clock and `fetch`; for tests
 * @returns the client; it opens no connection before its first call
 * @example
 * const mq = mqClient({ url: 'https://belfry.example.com', ...ed25519Signer(key), agreementKey })
 * await mq.put(theirDid, 'hello', { sealTo: theirKey })
 */
export const mqClient = (options: MqClientOptions, deps: Partial<FetchDeps> = {}): MqClient => {
  const { did, sign, agreementKey, domain = 'default' } = options
  const clock: Clock = deps.clock ?? systemClock
  const fetch = deps.fetch ?? globalThis.fetch.bind(globalThis)
  const base = `${withoutTrailingSlashes(options.url)}/mq/${encodeURIComponent(domain)}`
  const own = hashDid(did)
  const { ask, askAsReader, tokenFor } = createHubRequests({ clock, fetch, sign }, { base, ownHash: own })

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
      const path = (signature: string) => `/get/${own}/${signature}`
      return receivedMessage(await askAsReader(path, pollRequest(signal), MessageAnswer), agreementKey)
    },

    async take({ id, signal } = {}) {
      const which = id === undefined ? '' : `${encodeURIComponent(id)}/`
      const path = (signature: string) => `/take/${own}/${which}${signature}`
      return receivedMessage(await askAsReader(path, pollRequest(signal), MessageAnswer), agreementKey)
    },

    async delete(id) {
      const path = (signature: string) => `/delete/${own}/${encodeURIComponent(id)}/${signature}`
      await askAsReader(path, { method: 'DELETE' })
    },

    messages: (signal) => allMessages(client, clock, signal),
  }
  return client
}
