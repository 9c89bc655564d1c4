/**
 * Rate limits by name: one token bucket (`token-buckets`) for each limit and key, in the store that processes share. Each
 * room states its limits and their defaults; a deployment changes them by rules.
 */
import { ProtocolError } from '../../protocol/errors.ts'
import type { BucketSize, Buckets } from './token-buckets.ts'

/** By the name of a limit, `20, 2/s` (burst, refill) or `off`. A limit without a rule has its default. */
export type RateRules<N extends string> = { readonly [K in N]?: string | undefined }

export interface RateLimits<N extends string> {
  /** Throws `rate_limited` with `retryAfter` when the bucket is empty. `own` goes before the rules of the deployment. */
  take(name: N, key: string, own?: RateRules<N>): Promise<void>
  /** Takes from the buckets of all keys; returns, in order, whether each had something left. */
  takeEach(name: N, keys: readonly string[], own?: RateRules<N>): Promise<boolean[]>
}

const SECONDS: Record<string, number> = { s: 1, min: 60, h: 3_600, day: 86_400 }
const RULE = /^([1-9][0-9]{0,8}) *, *([1-9][0-9]{0,8}) *\/ *(s|min|h|day)$/

/** Null for `off`, undefined for what is no limit. */
export const parseLimit = (text: string): BucketSize | null | undefined => {
  if (text.trim() === 'off') return null
  const [, burst, refill, unit = ''] = RULE.exec(text.trim()) ?? []
  const seconds = SECONDS[unit]
  if (burst === undefined || refill === undefined || seconds === undefined) return undefined
  return { burst: Number(burst), seconds: (Number(burst) / Number(refill)) * seconds }
}

/** The refusal of who asks too fast. `waitMs`: after it, asking again is of use. */
export const tooFast = (waitMs: number, what?: string): ProtocolError => {
  const retryAfter = Math.ceil(waitMs / 1000)
  const again = `try again in ${retryAfter} s`
  return new ProtocolError('rate_limited', what === undefined ? again : `${what}; ${again}`, { retryAfter })
}

export const createRateLimits = <N extends string>(
  buckets: Buckets,
  defaults: Readonly<Record<N, string>>,
  rules: RateRules<NoInfer<N>> = {},
): RateLimits<N> => {
  const sizes = new Map<string, BucketSize | null>()
  const sizeOf = (name: N, own: RateRules<N> | undefined): BucketSize | null => {
    const text = own?.[name] ?? rules[name] ?? defaults[name]
    const known = sizes.get(text)
    if (known !== undefined) return known
    const size = parseLimit(text)
    if (size === undefined) throw new Error(`Not a limit: ${text}`)
    sizes.set(text, size)
    return size
  }
  const waits = async (name: N, keys: readonly string[], own: RateRules<N> | undefined) => {
    const size = sizeOf(name, own)
    if (!size || keys.length === 0) return keys.map(() => 0)
    return buckets.take(
      keys.map((key) => `${name}:${key}`),
      size,
    )
  }
  return {
    async take(name, key, own) {
      const [wait = 0] = await waits(name, [key], own)
      if (wait > 0) throw tooFast(wait)
    },
    async takeEach(name, keys, own) {
      return (await waits(name, keys, own)).map((wait) => wait === 0)
    },
  }
}
