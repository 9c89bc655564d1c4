/** The registry of installations as its users meet it: over HTTP, in a whole server, on a clock of the test's. */
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { z } from 'zod'
import { type Action, digestOf } from '../../../src/contacts/erc1056.ts'
import { toBase64url, toHex } from '../../../src/protocol/bytes.ts'
import { didWeb } from '../../../src/protocol/did.ts'
import { type Claims, signJwt } from '../../../src/protocol/jwt.ts'
import type { SigningKey } from '../../../src/protocol/keys.ts'
import { ethereumAddressOf } from '../../../src/protocol/signatures.ts'
import type { Config } from '../../../src/server/config/config.ts'
import { manualClock } from '../clock.ts'
import { createPerson } from '../person.ts'
import { secretListener } from '../secret-listener.ts'
import { startWorld } from '../world.ts'

export const HEX = 'xmtp/installation/hex'
export const YEAR = 365 * 86_400
export const DENIED = { code: 403, message: 'User not authorized for installation.' }

const nonceAnswer = z.object({ result: z.object({ nonce: z.number(), registry: z.string() }) })

/** An Ethereum key that signs hashes. */
export const newSigner = () => {
  const secret = secp256k1.utils.randomSecretKey()
  secretListener.tell('private key of an account', secret)
  return signerOf(secret)
}
export const signerOf = (secret: Uint8Array) => ({
  address: ethereumAddressOf(secp256k1.getPublicKey(secret, false)),
  sign(digest: Uint8Array) {
    const signed = secp256k1.sign(digest, secret, { prehash: false, format: 'recovered' })
    const [recovery = 0] = signed
    const [r, s] = [signed.subarray(1, 33), signed.subarray(33)]
    return { r: `0x${toHex(r)}`, s: `0x${toHex(s)}`, v: 27 + recovery }
  },
})
export type Signer = ReturnType<typeof newSigner>

export const startContacts = async (config: Partial<Config> = {}) => {
  const clock = manualClock(Date.now())
  const world = await startWorld({ clock, rooms: ['keys', 'contacts'], config })
  const serverDid = didWeb(new URL(world.server.url).host)
  let ids = 0

  /** One request; answers what came back without its id. */
  const rpc = async (method: string, params?: unknown): Promise<unknown> => {
    const own = ++ids
    const { status, body } = await world.http('POST', '/rpc/v1', {
      body: { jsonrpc: '2.0', id: own, method, ...(params !== undefined && { params }) },
    })
    if (status !== 200) throw new Error(`HTTP ${status}`)
    const { id, jsonrpc, ...rest } = z
      .looseObject({ id: z.literal(own), jsonrpc: z.literal('2.0') })
      .parse(body)
    return rest
  }
  const fetchAll = (did: string) => rpc('fetchKeyPackages', { did })
  const nonceOf = async (did: string) => nonceAnswer.parse(await rpc('nonce', { did })).result

  return {
    world,
    clock,
    serverDid,
    rpc,
    fetchAll,
    nonceOf,
    /** Signs as ERC-1056 has it, over the next nonce and the registry's address, or what `by` says instead. */
    async signed(
      signer: Signer,
      action: Action,
      by: { nonce?: number; registry?: string; padding?: number } = {},
    ) {
      const { padding, ...rest } = by
      const told = await nonceOf(signer.address)
      return signer.sign(digestOf(action, { ...told, identity: signer.address, ...rest }, padding))
    },
    /** A good token to grant `value` (hex), but for what `change` says. */
    jwt(key: SigningKey, sub: string, value: string, change: Record<string, unknown> = {}): string {
      const iat = Math.floor(clock.now() / 1000)
      const claims: Claims = {
        ...{ iss: key.did, sub, aud: serverDid, act: 'grant_installation', name: HEX, value },
        ...{ iat, exp: iat + 300, jti: toBase64url(globalThis.crypto.getRandomValues(new Uint8Array(12))) },
        ...change,
      }
      return signJwt(claims, key)
    },
    /** Somebody with an account and an identity key that is registered for it. */
    async newPerson() {
      const person = createPerson()
      const key = person.newKey()
      const register = async (cacao = person.cacao(key, clock.now())) => {
        const { status } = await world.http('POST', '/identity', { body: { cacao } })
        if (status !== 200) throw new Error(`The identity key was not registered: ${status}`)
      }
      await register()
      return { ...person, key, register, did: `did:pkh:${person.account}` }
    },
    [Symbol.asyncDispose]: () => world[Symbol.asyncDispose](),
  }
}
export type ContactsWorld = Awaited<ReturnType<typeof startContacts>>
