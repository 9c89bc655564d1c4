/** What several tools take, with the sentences that a model reads. Bounds are those of the notify server. */
import * as z from 'zod'
import { PRIORITIES } from '../../protocol/notify/extras.ts'

/** So long, that a client which waits a minute for an answer is not left alone. */
const DEFAULT_WAIT_S = 45
export const MAX_WAIT_S = 1_800

// A line break would let two ids be read as one.
export const notificationId = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}]+$/u, { error: 'must have no control characters' })

export const account = z.string().min(1).max(200).describe('CAIP-10, like eip155:1:0x…')

export const content = {
  type: z
    .string()
    .min(1)
    .max(64)
    .describe('Id or name of a type that the app declares; see the resource belfry://app'),
  title: z.string().min(1).max(64),
  body: z.string().min(1).max(255),
  url: z.url().max(2_048).optional().describe('Where it leads'),
  priority: z.enum(PRIORITIES).optional().describe('low wakes nobody; default normal'),
}

export const wait = z
  .number()
  .int()
  .min(0)
  .max(MAX_WAIT_S)
  .default(DEFAULT_WAIT_S)
  .describe('How many seconds this call waits; 0 looks once')

export const pageAfter = z.string().max(1_024).optional().describe('`next` of the page before')

export const time = z.string().describe('ISO 8601')

export const iso = (at: number): string => new Date(at).toISOString()
