/** The public keys of an app, or of the notify server, as a wallet reads them from their did:web documents. */
import * as z from '#schema'
import { type FetchDeps, fetchJson, type JsonRequest } from '../../platform/net/fetch-json.ts'
import { fromBase64url } from '../../protocol/bytes.ts'
import { ed25519Did } from '../../protocol/did.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { partsOfUrl, withoutTrailingSlashes } from '../../protocol/urls.ts'

export interface PublicKeys {
  /** did:key of the Ed25519 key that signs. */
  authentication: string
  /** Former ones of it that still count. */
  former?: readonly string[]
  /** X25519 key that requests are sealed to, 32 bytes. */
  subscribe: Uint8Array
}

/** Throws `unknown_app` when the domain has no such document, `unavailable` when it cannot be asked. */
export type ResolveAppKeys = (domain: string) => Promise<PublicKeys>

const didDocument = z.object({
  verificationMethod: z.array(
    z.object({
      id: z.string(),
      publicKeyJwk: z.object({ kty: z.literal('OKP'), crv: z.string(), x: z.string() }),
    }),
  ),
  keyAgreement: z.array(z.string()),
  authentication: z.array(z.string()),
})

/**
 * The first entries of `keyAgreement` and `authentication`, as published clients read it; further ones are former keys,
 * with which something may still be signed.
 */
const parseDidDocument = (document: unknown): PublicKeys => {
  const parsed = didDocument.safeParse(document)
  if (!parsed.success) throw new ProtocolError('unknown_app', 'its did.json is not one')
  const keyOf = (name: string | undefined, crv: string): Uint8Array => {
    const method = parsed.data.verificationMethod.find(({ id }) => id === name)
    const key = method?.publicKeyJwk.crv === crv ? fromBase64url(method.publicKeyJwk.x) : undefined
    if (key?.length === 32) return key
    throw new ProtocolError('unknown_app', `its did.json has no ${crv} key`)
  }
  const [present, ...former] = parsed.data.authentication
  return {
    authentication: ed25519Did(keyOf(present, 'Ed25519')),
    former: former.map((name) => ed25519Did(keyOf(name, 'Ed25519'))),
    subscribe: keyOf(parsed.data.keyAgreement[0], 'X25519'),
  }
}

export const fetchKeys = async (
  deps: FetchDeps,
  url: string,
  request: Pick<JsonRequest, 'patience'> = {},
): Promise<PublicKeys> => {
  const { status, body } = await fetchJson(deps, url, request)
  if (status === 200) return parseDidDocument(body)
  const code = status >= 500 || status === 429 ? 'unavailable' : 'unknown_app'
  throw new ProtocolError(code, `its did.json was answered with ${status}`)
}

/**
 * Reads an app's keys from its own domain, as published wallets do.
 *
 * @param deps the fetch function and the clock.
 * @returns a resolver for `WalletOptions.resolveAppKeys`; it throws `unknown_app` or `unavailable`.
 */
export const fromAppDomain =
  (deps: FetchDeps): ResolveAppKeys =>
  (domain) =>
    fetchKeys(deps, `https://${domain}/.well-known/did.json`)

/**
 * Reads an app's keys from the copy of a Belfry notify server, for apps without a domain of their own.
 *
 * @param deps the fetch function and the clock.
 * @param notifyUrl URL of the notify server.
 * @returns a resolver for `WalletOptions.resolveAppKeys`; it throws `unknown_app` or `unavailable`.
 * @example
 * createWallet({ ...options, resolveAppKeys: fromNotifyServer({ fetch, clock: systemClock }, url) })
 */
export const fromNotifyServer =
  (deps: FetchDeps, notifyUrl: string): ResolveAppKeys =>
  (domain) =>
    fetchKeys(deps, `${withoutTrailingSlashes(notifyUrl)}/apps/${encodeURIComponent(domain)}/did.json`)

/** How long an app's own domain may take when the notify server can be asked instead, ms. */
const DOMAIN_TIMEOUT_MS = 3_000

/** Nobody stands between a process and what listens on its own machine. */
const isOnThisMachine = (url: string): boolean => {
  try {
    return /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(partsOfUrl(url).host)
  } catch {
    return false
  }
}

/**
 * What a wallet does unless it is told otherwise: the app's domain is asked first, and what it says counts. Only where it
 * says nothing, and the notify server is trusted for that, the notify server is asked.
 */
export const defaultAppKeys = (
  deps: FetchDeps,
  {
    notifyUrl,
    trustServer = isOnThisMachine(notifyUrl),
  }: { notifyUrl: string; trustServer?: boolean | undefined },
): ResolveAppKeys => {
  const ofServer = fromNotifyServer(deps, notifyUrl)
  const silence = (domain: string, cause: unknown): ProtocolError => {
    if (!(cause instanceof ProtocolError)) throw cause
    const advice = trustServer
      ? `and ${notifyUrl} knows no app ${domain}`
      : `publish it, or take keys from the notify server with trustServer: true`
    return new ProtocolError(cause.code, `https://${domain}/.well-known/did.json has no keys; ${advice}`, {
      cause,
    })
  }
  return async (domain) => {
    const patience = trustServer ? { patience: DOMAIN_TIMEOUT_MS } : {}
    try {
      return await fetchKeys(deps, `https://${domain}/.well-known/did.json`, patience)
    } catch (cause) {
      if (!trustServer) throw silence(domain, cause)
    }
    return ofServer(domain).catch((cause: unknown) => {
      throw cause instanceof ProtocolError && cause.code === 'unknown_app' ? silence(domain, cause) : cause
    })
  }
}
