/**
 * The key registry's client, for wallets: registers the key that speaks for an account (identity) and the key by which
 * others reach it (invite), looks them up, takes them back. Node and browsers.
 *
 * | call               | request                                             |
 * |--------------------|-----------------------------------------------------|
 * | registerIdentity   | POST /identity `{cacao, idAuth?}`, act register_identity |
 * | identity           | GET /identity?publicKey=z6Mk…                       |
 * | unregisterIdentity | DELETE /identity `{idAuth}`, act unregister_identity |
 * | registerInvite     | POST /invite `{idAuth}`, act register_invite        |
 * | invite             | GET /invite?account=…                               |
 * | unregisterInvite   | DELETE /invite `{idAuth}`, act unregister_invite    |
 */
import * as z from '#schema'
import { type FetchDeps, fetchJson, httpFailure, type JsonRequest } from '../platform/net/fetch-json.ts'
import { type Cacao, cacaoSchema } from '../protocol/cacao.ts'
import { didPkh } from '../protocol/did.ts'
import { ProtocolError } from '../protocol/errors.ts'
import { signJwt } from '../protocol/jwt.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'

export interface KeysClient {
  /**
   * Throws when the registry does not accept it. Idempotent. With `key` it is proven that the identity key is the
   * account's own: others, who may have claimed the key before, do not speak for it any more.
   */
  registerIdentity(cacao: Cacao, key?: SigningKey): Promise<void>
  /** The CACAO of an identity key (did:key), not verified; undefined when it is not registered. */
  identity(identityKey: string): Promise<Cacao | undefined>
  /** `account`: CAIP-10. */
  unregisterIdentity(key: SigningKey, account: string): Promise<void>
  /** `inviteKey`: did:key of an X25519 key. */
  registerInvite(key: SigningKey, account: string, inviteKey: string): Promise<void>
  invite(account: string): Promise<string | undefined>
  unregisterInvite(key: SigningKey, account: string): Promise<void>
}

const answered = z.object({
  error: z.object({ name: z.string().optional(), message: z.string() }).nullish(),
  value: z.unknown(),
})
const identityValue = z.object({ cacao: cacaoSchema })
const inviteValue = z.object({ inviteKey: z.string() })

const HOUR_S = 3_600
const THOUSAND_DAYS_S = 86_400_000
const DID_KEY = 'did:key:'

/**
 * A client of the key registry: registers identity and invite keys of an account, looks them up, takes them away.
 *
 * @param deps the clock and the `fetch` that are used
 * @param options `url`: the registry's, as the wallet is configured; tokens are made out to it
 * @returns the client; its calls throw `ProtocolError` with the registry's code
 * @example
 * const keys = createKeysClient({ clock: systemClock, fetch }, { url: 'https://keys.example.com' })
 * const cacao = await keys.identity(identityKey)
 */
export const createKeysClient = (deps: FetchDeps, { url }: { url: string }): KeysClient => {
  const base = withoutTrailingSlashes(url)

  /** The answer's value; undefined for 404 on a look-up. */
  const ask = async (path: string, request: JsonRequest = {}): Promise<unknown> => {
    const { status, body } = await fetchJson(deps, base + path, request)
    const parsed = answered.safeParse(body)
    if (status === 200 && parsed.success) return parsed.data.value
    if (status === 404 && request.method === undefined) return undefined
    throw httpFailure(status, parsed.data?.error?.message)
  }

  const read = <T>(schema: z.ZodType<T>, value: unknown): T => {
    const parsed = schema.safeParse(value)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the key server answered something else')
  }

  /** `unit`: how many of it a second has; see the wire table of the registry. */
  const idAuth = (key: SigningKey, pkh: string, act: string, sub: string, life = HOUR_S, unit = 1) => {
    const iat = Math.floor(deps.clock.now() / 1000) * unit
    return signJwt({ iss: key.did, aud: url, act, sub, pkh, iat, exp: iat + life * unit }, key)
  }

  return {
    async registerIdentity(cacao, key) {
      const proof = key && { idAuth: idAuth(key, cacao.p.iss, 'register_identity', 'identity_keys') }
      await ask('/identity', { method: 'POST', body: { cacao, ...proof } })
    },
    async identity(identityKey) {
      const value = await ask(`/identity?publicKey=${identityKey.replace(DID_KEY, '')}`)
      return value === undefined ? undefined : read(identityValue, value).cacao
    },
    async unregisterIdentity(key, account) {
      const token = idAuth(key, didPkh(account), 'unregister_identity', 'identity_keys', HOUR_S, 1000)
      await ask('/identity', { method: 'DELETE', body: { idAuth: token } })
    },
    async registerInvite(key, account, inviteKey) {
      const token = idAuth(key, didPkh(account), 'register_invite', inviteKey, THOUSAND_DAYS_S)
      await ask('/invite', { method: 'POST', body: { idAuth: token } })
    },
    async invite(account) {
      const value = await ask(`/invite?account=${encodeURIComponent(account)}`)
      return value === undefined ? undefined : read(inviteValue, value).inviteKey
    },
    async unregisterInvite(key, account) {
      const token = idAuth(key, didPkh(account), 'unregister_invite', 'invite_keys')
      await ask('/invite', { method: 'DELETE', body: { idAuth: token } })
    },
  }
}
