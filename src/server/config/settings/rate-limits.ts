/** The setting of the rate limits: every room states its own, a deployment and a project change them by name. */
import * as z from 'zod'
import { CHAIN_RATES } from '../../../chains/limits.ts'
import { CONTACTS_RATES } from '../../../contacts/limits.ts'
import { MQ_RATES } from '../../../mq/limits.ts'
import { NOTIFY_RATES } from '../../../notify/apps/limits.ts'
import { parseLimit, type RateRules } from '../../../platform/budgets/rate-limits.ts'
import { PUSH_RATES } from '../../../push/limits.ts'
import { SESSION_RATES } from '../../../sessions/relay/limits.ts'
import { CONSOLE_RATES } from '../../console/limits.ts'

/** The limits of all rooms, with their defaults. */
export const RATE_LIMITS = {
  ...NOTIFY_RATES,
  ...CONTACTS_RATES,
  ...MQ_RATES,
  ...SESSION_RATES,
  ...PUSH_RATES,
  ...CHAIN_RATES,
  ...CONSOLE_RATES,
}
export type RateLimitName = keyof typeof RATE_LIMITS

export const RATE_LIMIT_NAMES = Object.keys(RATE_LIMITS).filter(
  (name): name is RateLimitName => name in RATE_LIMITS,
)
/** Switches every limit off. */
export const NO_RATE_LIMITS: RateRules<RateLimitName> = Object.fromEntries(
  RATE_LIMIT_NAMES.map((name) => [name, 'off']),
)

/** A limit by name, each `20, 2/s` or `off`. */
export const LimitsByName = z
  .partialRecord(
    z.enum(RATE_LIMIT_NAMES),
    z.string().refine((text) => parseLimit(text) !== undefined, { error: 'must be like 20, 2/s, or off' }),
  )
  .transform((rules): RateRules<RateLimitName> => rules)

/** `notify: 20, 2/s; link: off`, or `off` for all; in a file an object. */
export const RateLimitSetting = z
  .union([z.record(z.string(), z.unknown()), z.string()])
  .transform((given): unknown => {
    if (typeof given !== 'string') return given
    if (given.trim() === 'off') return NO_RATE_LIMITS
    const parts = given.split(';').filter((part) => part.trim() !== '')
    return Object.fromEntries(
      parts.map((part) => {
        const at = part.indexOf(':')
        return [part.slice(0, Math.max(at, 0)).trim(), part.slice(at + 1).trim()]
      }),
    )
  })
  .pipe(LimitsByName)
