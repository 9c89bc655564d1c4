/**
 * An SD-JWT as a tree: each claim, and which disclosures it takes to see it. Claims are found by walking it, never by
 * joined names, so a claim called `a.b` is not taken for `b` in `a`, and the decoys of an array do not shift its places.
 */

import { sha256, sha384, sha512 } from '@noble/hashes/sha2.js'
import { SDJwt } from '@sd-jwt/core'
import { utf8 } from '../../protocol/bytes.ts'

export type Disclosure = NonNullable<SDJwt['disclosures']>[number]

/** A place in claims as DCQL names it: a key, a place in an array, or null for all of an array. */
export type ClaimPath = readonly (string | number | null)[]

export interface Claim {
  /** What it takes to see it, from the outermost in. */
  needs: readonly Disclosure[]
  /** Of an object. */
  members?: Map<string, Claim>
  /** Of an array. */
  items?: Claim[]
  /** Of everything else. */
  value?: unknown
}

export interface ReadSdJwt {
  sdJwt: SDJwt
  header: Record<string, unknown>
  /** As the issuer signed it, digests and all. */
  payload: Record<string, unknown>
  disclosures: readonly Disclosure[]
  root: Claim
  /** Disclosures that nothing refers to. */
  unreferenced: number
}

const HASHES: Record<string, (data: Uint8Array) => Uint8Array> = {
  'sha-256': sha256,
  'sha-384': sha384,
  'sha-512': sha512,
}

export const hasher = (data: string | ArrayBuffer, alg: string): Uint8Array => {
  const hash = Object.hasOwn(HASHES, alg) ? HASHES[alg] : undefined
  if (!hash) throw new Error('An SD-JWT with a hash that is not known here')
  return hash(typeof data === 'string' ? utf8(data) : new Uint8Array(data))
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const buildTree = (payload: unknown, byDigest: Map<string, Disclosure>): Claim => {
  /** Each serves once: two claims behind one digest are not what an issuer makes. */
  const take = (digest: unknown, isItem: boolean): Disclosure | undefined => {
    if (typeof digest !== 'string') throw new Error('A digest that is no text')
    const found = byDigest.get(digest)
    if (found && (found.key === undefined) !== isItem) throw new Error('A disclosure of the other kind')
    byDigest.delete(digest)
    return found
  }
  const build = (raw: unknown, needs: readonly Disclosure[]): Claim => {
    if (Array.isArray(raw)) {
      const items: Claim[] = []
      for (const item of raw) {
        if (!isRecord(item) || !Object.hasOwn(item, '...')) items.push(build(item, needs))
        else {
          const found = take(item['...'], true)
          if (found) items.push(build(found.value, [...needs, found]))
        }
      }
      return { needs, items }
    }
    if (!isRecord(raw)) return { needs, value: raw }
    const members = new Map<string, Claim>()
    for (const [name, value] of Object.entries(raw)) {
      if (name !== '_sd' && name !== '_sd_alg') members.set(name, build(value, needs))
    }
    const digests: unknown = raw._sd ?? []
    if (!Array.isArray(digests)) throw new Error('An _sd that is no array')
    for (const digest of digests) {
      const found = take(digest, false)
      if (!found) continue
      const { key = '' } = found
      if (members.has(key) || key === '_sd' || key === '...') throw new Error('A disclosure of a taken name')
      members.set(key, build(found.value, [...needs, found]))
    }
    return { needs, members }
  }
  return build(payload, [])
}

/** Throws for what is no SD-JWT, or one that contradicts itself. Nothing is verified. */
export const readSdJwt = async (text: string): Promise<ReadSdJwt> => {
  const sdJwt = await SDJwt.fromEncode(text, hasher)
  const { header, payload } = sdJwt.jwt ?? {}
  if (!isRecord(header) || !isRecord(payload)) throw new Error('An SD-JWT without header or payload')
  const disclosures = sdJwt.disclosures ?? []
  const alg = typeof payload._sd_alg === 'string' ? payload._sd_alg : 'sha-256'
  const byDigest = new Map<string, Disclosure>()
  for (const disclosure of disclosures) byDigest.set(await disclosure.digest({ hasher, alg }), disclosure)
  const repeated = disclosures.length - byDigest.size
  const root = buildTree(payload, byDigest)
  return { sdJwt, header, payload, disclosures, root, unreferenced: byDigest.size + repeated }
}

/** As whoever is shown `shown` sees it; without it: as the holder of all disclosures does. */
export const plainClaims = (claim: Claim, shown?: ReadonlySet<Disclosure>): unknown => {
  const isSeen = ({ needs }: Claim) => !shown || needs.every((one) => shown.has(one))
  const { members, items, value } = claim
  if (members) {
    const seen = [...members].filter(([, member]) => isSeen(member))
    return Object.fromEntries(seen.map(([name, member]) => [name, plainClaims(member, shown)]))
  }
  return items ? items.filter(isSeen).map((item) => plainClaims(item, shown)) : value
}

/** The claims at a path; with `values`, only those that are one of them. */
export const claimsAt = (claim: Claim, path: ClaimPath, values?: readonly unknown[]): Claim[] => {
  const [step, ...rest] = path
  if (step === undefined) return !values || (values.includes(claim.value) && !claim.members) ? [claim] : []
  if (step === null) return (claim.items ?? []).flatMap((item) => claimsAt(item, rest, values))
  const next = typeof step === 'string' ? claim.members?.get(step) : claim.items?.[step]
  return next ? claimsAt(next, rest, values) : []
}

/** What it takes to see the claim whole, with everything in it. */
export const disclosuresOf = (claim: Claim): Disclosure[] => [
  ...claim.needs,
  ...[...(claim.members?.values() ?? []), ...(claim.items ?? [])].flatMap(disclosuresOf),
]
