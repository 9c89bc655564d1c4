/**
 * How much may be asked how fast: protocol.md §8. One token bucket for each limit and key (`platform/budgets/token-buckets`).
 *
 * | limit | counts | whose |
 * |---|---|---|
 * | notify | calls of POST …/notify | project |
 * | subscriber | notifications to one subscriber; a repeat of the same `notification_id` counts once | project and account |
 * | subscribersV0, subscribersV1 | calls of …/subscribers | project |
 * | subscribeTopic | calls of …/subscribe-topic | project |
 * | link | who follows the link of | one copy of a notification |
 * | subscribe, watch | requests of wallets | identity key |
 * | update, delete, history, mark | requests of wallets | account and app |
 * | installations | changes of installations (`contacts`) | account |
 * | didDocuments | did documents that are asked for (`contacts`) | domain |
 * | mqToken, mqPut | tokens of a queue, messages put into one | queue and address of who asks |
 * | mqGet | peeks, takes and deletes | token |
 * | session, sessionSocket | wallet sessions that are created, connections for them | address |
 *
 * A deployment changes them (`limits`), and a project for itself and its apps (`belfry project set`).
 */
import type { BucketSize, Buckets } from '../../platform/budgets/token-buckets.ts'
import { ProtocolError } from '../../protocol/errors.ts'

/** What a bucket holds, and how fast it is filled again; as published. */
export const LIMITS = {
  notify: '20, 2/s',
  subscriber: '50, 2/h',
  subscribersV0: '5, 1/s',
  subscribersV1: '100, 100/s',
  subscribeTopic: '100, 1/min',
  link: '20, 2/s',
  update: '100, 1/s',
  delete: '10, 1/h',
  history: '100, 2/s',
  mark: '100, 2/s',
  subscribe: '500, 100/day',
  watch: '100, 1/s',
  installations: '60, 1/s',
  didDocuments: '10, 1/s',
  mqToken: '60, 2/s',
  mqPut: '200, 20/s',
  mqGet: '200, 20/s',
  session: '30, 1/s',
  sessionSocket: '60, 2/s',
} as const

export type LimitName = keyof typeof LIMITS
/** `20, 2/s`, or `off`; what is absent is as it otherwise would be. */
export type LimitRules = { readonly [N in LimitName]?: string | undefined }

export const LIMIT_NAMES = Object.keys(LIMITS).filter((name): name is LimitName => name in LIMITS)
export const NO_LIMITS: LimitRules = Object.fromEntries(LIMIT_NAMES.map((name) => [name, 'off']))

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

export interface Limits {
  /** Throws `rate_limited` with `retryAfter` when the bucket is empty. `own`: what the project says otherwise. */
  take(name: LimitName, key: string, own?: LimitRules): Promise<void>
  /** Takes from the buckets of all keys; answers, in order, whether each had something left. */
  takeEach(name: LimitName, keys: readonly string[], own?: LimitRules): Promise<boolean[]>
  /** So many notifications of a day's quota; throws `rate_limited`. */
  takeOfDay(projectId: string, quota: number, count: number): Promise<void>
}

/** Refuses; says when it is of use to ask again. */
const tooFast = (wait: number, what?: string): ProtocolError => {
  const retryAfter = Math.ceil(wait / 1000)
  const again = `try again in ${retryAfter} s`
  return new ProtocolError('rate_limited', what === undefined ? again : `${what}; ${again}`, { retryAfter })
}

const DAY = 86_400

export const createLimits = (buckets: Buckets, rules: LimitRules = {}): Limits => {
  const sizes = new Map<string, BucketSize | null>()
  const sizeOf = (name: LimitName, own: LimitRules | undefined): BucketSize | null => {
    const text = own?.[name] ?? rules[name] ?? LIMITS[name]
    const known = sizes.get(text)
    if (known !== undefined) return known
    const size = parseLimit(text)
    if (size === undefined) throw new Error(`Not a limit: ${text}`)
    sizes.set(text, size)
    return size
  }
  const waits = async (name: LimitName, keys: readonly string[], own: LimitRules | undefined) => {
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
    async takeOfDay(projectId, quota, count) {
      const [wait = 0] = await buckets.take([`day:${projectId}`], { burst: quota, seconds: DAY }, count)
      if (wait > 0) throw tooFast(wait, `the project has a quota of ${quota} notifications a day`)
    },
  }
}

/** Nothing is limited. */
export const UNLIMITED: Limits = {
  take: async () => {},
  takeEach: async (_name, keys) => keys.map(() => true),
  takeOfDay: async () => {},
}
