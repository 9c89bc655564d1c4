/** The archive's client: registers tags, reads a topic, has it compacted. Node and browsers. */
import { type FetchDeps, fetchJson, httpFailure } from '../platform/net/fetch-json.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { signJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'
import { ownerKeyOf } from './owner-key.ts'
import { COMPACT_ACT, MessagesAnswer } from './schema.ts'

export interface ArchivedMessages {
  messages: { message: string; id: string; timestamp: number }[]
  /** Where the next page begins; undefined at the end. */
  next: string | undefined
}

/** A topic with its symmetric key. */
export interface TopicKey {
  topic: string
  key: Uint8Array
}

export interface ArchiveClient {
  /**
   * In place of what this client registered before. Of the topics, of which there may be 32, it can have the archive
   * compacted: of what it publishes after this call, and of what others do that hold the same keys.
   */
  register(tags: readonly number[], topics?: readonly TopicKey[]): Promise<void>
  /** Oldest first, from `origin` on, itself included. Undefined when that message is not there (any more). */
  messages(topic: string, origin?: string): Promise<ArchivedMessages | undefined>
  /** Drops what clients with this key have published before that message. Throws `not_found` when that is not there. */
  compact(topic: TopicKey, before: string): Promise<void>
}

const HOUR_S = 3_600
const PAGE_SIZE = 200

export const createArchiveClient = (
  deps: FetchDeps,
  { url, relayUrl, key }: { url: string; relayUrl: string; key: SigningKey },
): ArchiveClient => {
  const base = withoutTrailingSlashes(url)
  const token = (claims: Record<string, unknown>, signer = key) => {
    const iat = Math.floor(deps.clock.now() / 1000)
    return signJwt({ iss: signer.did, aud: url, ...claims, iat, exp: iat + HOUR_S }, signer)
  }
  const failure = (status: number, body: unknown): ProtocolError => {
    const error = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
    return httpFailure(status, typeof error === 'string' ? error : undefined)
  }
  const post = async (path: string, body: unknown, headers: Record<string, string> = {}): Promise<void> => {
    const answer = await fetchJson(deps, base + path, { method: 'POST', headers, body })
    if (answer.status !== 200) throw failure(answer.status, answer.body)
  }

  return {
    register(tags, topics = []) {
      const owners = Object.fromEntries(topics.map(({ topic, key }) => [topic, ownerKeyOf(key).did]))
      const authorization = `Bearer ${token({ sub: key.did })}`
      return post('/register', { tags: tags.map(String), owners, relayUrl }, { authorization })
    },

    async messages(topic, origin) {
      const query = new URLSearchParams({ topic, direction: 'forward', messageCount: `${PAGE_SIZE}` })
      if (origin !== undefined) query.set('originId', origin)
      const { status, body } = await fetchJson(deps, `${base}/messages?${query}`)
      if (status === 404 && origin !== undefined) return undefined
      if (status !== 200) throw failure(status, body)
      const answer = MessagesAnswer.safeParse(body)
      if (!answer.success) throw new ProtocolError('unavailable', 'the archive answered something else')
      const { messages, nextId } = answer.data
      return {
        messages: messages.map(({ message, message_id: id, timestamp }) => ({ message, id, timestamp })),
        next: nextId ?? undefined,
      }
    },

    compact({ topic, key }, before) {
      const claims = { act: COMPACT_ACT, sub: topic, bfr: before }
      return post('/compact', { compactAuth: token(claims, ownerKeyOf(key)) })
    },
  }
}
