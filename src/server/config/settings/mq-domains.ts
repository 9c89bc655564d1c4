/** The setting of the message queues' domains: what it may say, in a file and in one line. */
import * as z from 'zod'
import { MQ_DOMAIN_DEFAULTS } from '../../../mq/domain-defaults.ts'
import type { MqDomain } from '../../../mq/service.ts'
import { wholeNumber } from './whole-number.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

const domain = z.strictObject({
  enabled: z.boolean().default(MQ_DOMAIN_DEFAULTS.enabled),
  messageBytes: wholeNumber(1, 128 * 1024).default(MQ_DOMAIN_DEFAULTS.messageBytes),
  queueLength: wholeNumber(1, 1_000_000).default(MQ_DOMAIN_DEFAULTS.queueLength),
  ttlDays: wholeNumber(1, 365).default(MQ_DOMAIN_DEFAULTS.ttlDays),
  // Proxies give up after a minute.
  connectionTimeout: wholeNumber(0, 50_000).default(MQ_DOMAIN_DEFAULTS.connectionTimeout),
})

/** By name; `default` is among them whether it is named or not. */
export const MqDomains = z
  .record(z.string().regex(NAME), domain)
  .transform((named): Record<string, MqDomain> => ({ default: domain.parse({}), ...named }))

const settingsOf = (text: string): unknown => {
  if (text === '') return {}
  if (text === 'off') return { enabled: false }
  return Object.fromEntries(
    text.split(',').map((one) => {
      const [name = '', ...value] = one.split('=')
      return [name.trim(), value.join('=').trim()]
    }),
  )
}

/** `name: queueLength=500, ttlDays=7; other; third: off`, or JSON. What makes no sense the schema refuses. */
export const parseDomains = (text: string): unknown => {
  if (text.trimStart().startsWith('{')) {
    try {
      return JSON.parse(text)
    } catch {
      return undefined
    }
  }
  const parts = text.split(';').filter((part) => part.trim() !== '')
  return Object.fromEntries(
    parts.map((part) => {
      const [name = '', ...settings] = part.split(':')
      return [name.trim(), settingsOf(settings.join(':').trim())]
    }),
  )
}
