/**
 * The client of the registry of installations: for who wants to reach an account, and for its devices. Node and browsers.
 *
 *     const contacts = contactsClient({ url: 'https://belfry.example.com' })
 *     await contacts.grant('did:pkh:eip155:1:0x…', { name: 'xmtp/installation/hex', value: bytes }, { identityKey })
 *     const packages = await contacts.fetch('did:pkh:eip155:1:0x…')
 *
 * What a wallet signs with ERC-1056 is bound to a registry. The client makes that address from the server's name by
 * itself and never signs for another: a server that could choose it would get signatures that count on a chain.
 */
import * as z from 'zod'
import { type FetchDeps, fetchJson, httpFailure } from '../platform/net/fetch-json.ts'
import { didWeb } from '../protocol/did.ts'
import { fromRpcFailure, ProtocolError } from '../protocol/errors.ts'
import type { SigningKey } from '../protocol/keys.ts'
import { withoutTrailingSlashes } from '../protocol/urls.ts'
import { holderOf } from './account-key.ts'
import { type Attribute, readAttribute, writeValue } from './attribute.ts'
import { type Action, digestOf, registryOf } from './erc1056.ts'
import { type Act, signGrantJwt } from './grant-jwt.ts'
import { MAX_VALIDITY_S } from './limits.ts'

/** An identity key that is registered for the account, or what signs a hash of 32 bytes with the account's own key. */
export type InstallationSigner =
  | { identityKey: SigningKey }
  /** Not a text: no prefix is put before it. `r` and `s` are hex with 0x, `v` 27 or 28. */
  | { signDigest: (digest: Uint8Array) => Promise<{ r: string; s: string; v: number }> }

export interface ContactsClient {
  /** The live key packages of a DID in the order of their grants, as texts. */
  fetch(did: string): Promise<string[]>
  /** What the next ERC-1056 signature of an account must be over. */
  nonce(did: string): Promise<number>
  /** `validity`: seconds, 365 days at most and unless given. Granted again, an installation lives on. */
  grant(did: string, attribute: Attribute, signer: InstallationSigner, validity?: number): Promise<void>
  revoke(did: string, attribute: Attribute, signer: InstallationSigner): Promise<void>
}

export interface ContactsClientOptions {
  url: string
  /** The server's did:web, where it has another name than that of `url`. */
  serverDid?: string
}

const answered = z.union([
  z.object({ error: z.object({ code: z.number(), message: z.string() }) }),
  z.object({ result: z.unknown() }),
])
const fetched = z.object({ installation: z.array(z.string()) })
const counted = z.object({ nonce: z.number().int().nonnegative(), registry: z.string() })

const DENIED = 403

const failureOf = (code: number, message: string): ProtocolError =>
  code === DENIED ? new ProtocolError('forbidden', message) : fromRpcFailure(code, message)

export const createContactsClient = (deps: FetchDeps, options: ContactsClientOptions): ContactsClient => {
  const base = withoutTrailingSlashes(options.url)
  const serverDid = options.serverDid ?? didWeb(new URL(base).host)
  const registry = registryOf(serverDid)

  const ask = async (method: string, params: Record<string, unknown>): Promise<unknown> => {
    const body = { jsonrpc: '2.0', id: 1, method, params }
    const { status, body: answer } = await fetchJson(deps, `${base}/rpc/v1/${method}`, {
      method: 'POST',
      body,
    })
    const parsed = answered.safeParse(answer)
    if (!parsed.success) {
      if (status !== 200) throw httpFailure(status)
      throw new ProtocolError('unavailable', 'the server answered something else')
    }
    if ('error' in parsed.data) throw failureOf(parsed.data.error.code, parsed.data.error.message)
    return parsed.data.result
  }

  const read = <T>(schema: z.ZodType<T>, result: unknown): T => {
    const parsed = schema.safeParse(result)
    if (parsed.success) return parsed.data
    throw new ProtocolError('unavailable', 'the server answered something else')
  }

  const nonce = async (did: string): Promise<number> => {
    const told = read(counted, await ask('nonce', { did }))
    if (told.registry !== registry) {
      throw new ProtocolError('unavailable', 'the server has another name: give its did:web as serverDid')
    }
    return told.nonce
  }

  const change = async (did: string, given: Attribute, signer: InstallationSigner, validity?: number) => {
    const { name, value } = readAttribute(given.name, given.value)
    const method = validity === undefined ? 'revokeInstallation' : 'grantInstallation'
    const text = writeValue(name, value)
    if ('identityKey' in signer) {
      const act: Act = validity === undefined ? 'revoke_installation' : 'grant_installation'
      const lasting = validity === undefined ? {} : { validity }
      const claims = { sub: did, aud: serverDid, act, name, value: text, ...lasting }
      await ask(method, { did, jwt: signGrantJwt(signer.identityKey, claims, deps.clock.now()) })
      return
    }
    const holder = holderOf(did)
    if (holder.kind !== 'account' || holder.address === undefined) {
      throw new ProtocolError('bad_params', 'only an Ethereum account signs like this')
    }
    const action: Action =
      validity === undefined ? { act: 'revoke', name, value } : { act: 'set', name, value, validity }
    const digest = digestOf(action, { registry, nonce: await nonce(did), identity: holder.address })
    const signature = await signer.signDigest(digest)
    await ask(method, { did, name, value: text, signature, ...(validity !== undefined && { validity }) })
  }

  return {
    fetch: async (did) => read(fetched, await ask('fetchKeyPackages', { did })).installation,
    nonce,
    grant: (did, attribute, signer, validity = MAX_VALIDITY_S) => change(did, attribute, signer, validity),
    revoke: (did, attribute, signer) => change(did, attribute, signer),
  }
}
