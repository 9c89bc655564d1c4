/**
 * Finds the CACAO behind an identity key: in our own registry, or at a key server that the operator allows.
 *
 * | key server (`ksu`)         | asked                                                                  |
 * |----------------------------|------------------------------------------------------------------------|
 * | ours, under any of its names | our registry, uncached: a revoked key stops at once                  |
 * | allow-listed               | our registry first, then `GET <origin>/identity`; kept for five minutes |
 * | any other                  | nobody: `key_server_refused`                                           |
 *
 * A server that does not answer is left alone for a while, and few look-ups wait for one: all others fail at once with
 * `rate_limited`, so that wallets try again and requests that need no look-up are not held up.
 *
 * What is answered is not verified here; whoever relies on it does that, and may remember of which text it has.
 */

import { createTtlCache } from '../platform/concurrency/ttl-cache.ts'
import { HostNotAsked } from '../platform/net/host-gate.ts'
import type { PublicFetch } from '../platform/net/public-fetch.ts'
import type { Clock } from '../platform/runtime/clock.ts'
import type { Log } from '../platform/telemetry.ts'
import { accountOf, type Cacao, parseCacao } from '../protocol/cacao.ts'
import { accountKey } from '../protocol/caip.ts'
import { ed25519FromDid } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { messageIdOf } from '../protocol/topic.ts'
import { IdentityAnswer } from './schema.ts'
import type { KeyRegistry } from './service.ts'

const IDENTITY_CACHE = { ttlMs: 300_000, entries: 10_000 }
const KEY_SERVER_TIMEOUT_MS = 5_000
const MAX_ANSWER_BYTES = 64 * 1024

export interface IdentityLookupDeps {
  /** Absent where another process has the registry. */
  registry?: Pick<KeyRegistry, 'identity'>
  fetch: PublicFetch
  clock: Clock
  log: Log
}

export interface IdentityLookupOptions {
  isOwnUrl: (url: string) => boolean
  /** Origins of other key servers that may be asked. */
  allowed: readonly string[]
}

/** A CACAO as it was found: who knows its text already need not read it again. */
export interface FoundCacao {
  /** SHA-256 of its text, in hex. */
  digest: string
  read(): Cacao
}

interface Answered {
  found: FoundCacao
  /** For which account it was asked. */
  wanted: string
}

const isOf = (cacao: Cacao, account: string): boolean => {
  try {
    return accountKey(accountOf(cacao)) === account
  } catch {
    return false
  }
}

const foundCacao = (cacao: Cacao): FoundCacao => ({
  digest: messageIdOf(JSON.stringify(cacao)),
  read: () => cacao,
})

const originOf = (url: string): string | undefined => {
  if (!URL.canParse(url)) return undefined
  const { protocol, origin } = new URL(url)
  return protocol === 'https:' || protocol === 'http:' ? origin : undefined
}

const parseAnswer = (text: string): Cacao => {
  try {
    return parseCacao(IdentityAnswer.parse(JSON.parse(text)).value.cacao)
  } catch (cause) {
    throw new ProtocolError('unavailable', 'the key server answered something else', { cause })
  }
}

/** Undefined where the registry does not know the key, or there is none here. */
const createRegistryLookup =
  (registry: IdentityLookupDeps['registry']) =>
  async (identityKey: string, account?: string): Promise<FoundCacao | undefined> => {
    try {
      const text = await registry?.identity(identityKey, account)
      if (text === undefined) return undefined
      return { digest: messageIdOf(text), read: () => parseCacao(JSON.parse(text)) }
    } catch (error) {
      if (error instanceof ProtocolError && error.code === 'identity_unknown') return undefined
      throw error
    }
  }

export const createIdentityLookup = (deps: IdentityLookupDeps, options: IdentityLookupOptions) => {
  const { registry, fetch, clock, log } = deps
  const allowed = new Set(options.allowed.map(originOf))
  const cached = createTtlCache<Answered>(
    { clock },
    // The key of somebody may be claimed by others there: what is answered about them is no answer for the owner.
    { ...IDENTITY_CACHE, isCacheable: ({ found, wanted }) => isOf(found.read(), wanted) },
  )

  const ask = async (origin: string, identityKey: string): Promise<Cacao> => {
    const url = `${origin}/identity?publicKey=${identityKey.slice('did:key:'.length)}`
    try {
      const { status, body } = await fetch(url, {
        milliseconds: KEY_SERVER_TIMEOUT_MS,
        bytes: MAX_ANSWER_BYTES,
      })
      if (status === 404) throw new ProtocolError('identity_unknown')
      if (status !== 200) throw new ProtocolError('unavailable', `the key server answered ${status}`)
      return parseAnswer(body)
    } catch (err) {
      if (err instanceof HostNotAsked) {
        const retryAfter = Math.max(1, Math.ceil((err.until - clock.now()) / 1000))
        const detail = `the key server is not asked now; try again in ${retryAfter} s`
        throw new ProtocolError('rate_limited', detail, { retryAfter })
      }
      const isAnswer = err instanceof ProtocolError && err.code === 'identity_unknown'
      if (!isAnswer) log.warn({ err, keyServer: origin }, 'A key server could not be asked')
      throw err
    }
  }

  const askOnce = async (origin: string, identityKey: string, wanted: string): Promise<FoundCacao> => {
    const answered = await cached(`${origin} ${identityKey} ${wanted}`, async () => ({
      found: foundCacao(await ask(origin, identityKey)),
      wanted,
    }))
    return answered.found
  }

  const inRegistry = createRegistryLookup(registry)

  /** Throws `bad_params`, `key_server_refused`, `identity_unknown`, `rate_limited`, `unavailable`. */
  return async (
    keyServerUrl: string,
    identityKey: string,
    account: string,
    signal?: AbortSignal,
  ): Promise<FoundCacao> => {
    ed25519FromDid(identityKey)
    const origin = originOf(keyServerUrl)
    const isOwn = options.isOwnUrl(keyServerUrl)
    if (origin === undefined || !(isOwn || allowed.has(origin))) {
      throw new ProtocolError('key_server_refused')
    }
    // Where ours is asked and knows the key of another account alone, that one says so.
    const found =
      (await inRegistry(identityKey, account)) ?? (isOwn ? await inRegistry(identityKey) : undefined)
    if (found) return found
    if (isOwn && registry) throw new ProtocolError('identity_unknown')
    signal?.throwIfAborted()
    return askOnce(origin, identityKey, account)
  }
}
