/** What a message queue allows, whatever its domain says. */
import { DAY_MS } from '../platform/units.ts'

/** A queue counts as attended for this long after its reader was there. It is written at most once a day. */
export const ATTENDED_MS = 30 * DAY_MS
/** A queue that is not attended has these bounds, whatever more its domain allows. */
export const UNATTENDED_MAX_MESSAGES = 128
export const UNATTENDED_TTL_MS = DAY_MS
/** A payer with less than this part of a full queue may still put: the payer with most messages gives way. */
export const FOOTHOLD_SHARE = 1 / 64

/**
 * The default rate limits, as a token bucket's size and refill: tokens and puts of a queue and an address; peeks, takes and
 * deletes with one token.
 */
export const MQ_RATES = { mqToken: '60, 2/s', mqPut: '200, 20/s', mqGet: '200, 20/s' } as const
export type MqRate = keyof typeof MQ_RATES
