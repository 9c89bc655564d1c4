/**
 * How much may be asked of the notify server how fast: protocol.md §8. One token bucket for each limit and key
 * (`platform/budgets/rate-limits`).
 *
 * | limit | counts | whose |
 * |---|---|---|
 * | notify | calls of POST …/notify | project |
 * | subscriber | notifications to one subscriber; a repeat of the same `notification_id` counts once | project and account |
 * | subscribersV0, subscribersV1 | calls of …/subscribers | project |
 * | subscribeTopic | calls of …/subscribe-topic | project |
 * | link | visits of a notification's link | one copy of a notification |
 * | subscribe, watch | requests of wallets | identity key |
 * | update, delete, history, mark | requests of wallets | account and app |
 *
 * A deployment changes them (`limits`), and a project for itself and its apps (`belfry project set`).
 */
import {
  createRateLimits,
  type RateLimits,
  type RateRules,
  tooFast,
} from '../../platform/budgets/rate-limits.ts'
import type { Buckets } from '../../platform/budgets/token-buckets.ts'
import { DAY_S } from '../../platform/units.ts'

/** What a bucket holds, and how fast it is filled again; as published. */
export const NOTIFY_RATES = {
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
} as const

export type LimitName = keyof typeof NOTIFY_RATES
export type LimitRules = RateRules<LimitName>

export interface Limits extends RateLimits<LimitName> {
  /** Takes so many notifications of the day's quota of a project; throws `rate_limited`. */
  takeOfDay(projectId: string, quota: number, count: number): Promise<void>
}

export const createLimits = (buckets: Buckets, rules: LimitRules = {}): Limits => ({
  ...createRateLimits(buckets, NOTIFY_RATES, rules),
  async takeOfDay(projectId, quota, count) {
    const [wait = 0] = await buckets.take([`day:${projectId}`], { burst: quota, seconds: DAY_S }, count)
    if (wait > 0) throw tooFast(wait, `the project has a quota of ${quota} notifications a day`)
  },
})

/** Nothing is limited. */
export const UNLIMITED: Limits = {
  take: async () => {},
  takeEach: async (_name, keys) => keys.map(() => true),
  takeOfDay: async () => {},
}
