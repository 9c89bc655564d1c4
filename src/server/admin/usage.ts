/**
 * Who holds how much, and one topic of the relay, for the operator; behind the guard of `routes`.
 *
 * | method, path                       | query                         | answer                                       |
 * |------------------------------------|-------------------------------|----------------------------------------------|
 * | POST   /admin/usage                |                               | begins a walk unless one is under way        |
 * | GET    /admin/usage                | `top?` owners a table         | how far it is, then what it found            |
 * | GET    /admin/topics/:topic        |                               | what it holds, who published and paid, who waits |
 * | DELETE /admin/topics/:topic        | `publisher?`, `payer?`        | `{topic, removed}`                           |
 *
 * A payer is the name of an address, which changes with the secret, or `house`. A topic is 64 hex characters, the domain of an app, whose request topic is meant, or `server`.
 */
import { Hono } from 'hono'
import * as z from 'zod'
import type { Apps } from '../../notify/apps/apps.ts'
import { Domain } from '../../notify/http/schema.ts'
import { checked } from '../../platform/validate.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { RelayAdmin } from '../../relay/store-admin.ts'
import { HOUSE_PAYER, shownPayer } from './usage-views.ts'
import { MAX_TOP, type Usage } from './usage-walk.ts'

export interface AdminUsageDeps {
  usage: Usage
  relayAdmin: RelayAdmin
  apps: Apps | undefined
  /** Where requests to the notify server come in; undefined where the process does not know it. */
  serverTopic: () => string | undefined
  now: () => number
}

/** As rows have it: shorter than any address. */
const MAX_PAYER_LENGTH = 12
/** Messages of one transaction: other writes wait for it. */
const CLEAR_BATCH_SIZE = 200

export const Top = z.object({ top: z.coerce.number().int().min(1).max(MAX_TOP).default(10) })
export const Clear = z.object({
  publisher: z.string().min(1).max(512).optional(),
  payer: z.string().min(1).max(MAX_PAYER_LENGTH).optional(),
})
const TOPIC = /^[0-9a-f]{64}$/

/** `room` throws where this process has no store. */
export const adminUsage = (room: () => AdminUsageDeps): Hono => {
  const app = new Hono()

  const topicNamed = async (named: string): Promise<string> => {
    const { apps, serverTopic } = room()
    const text = named.toLowerCase()
    if (TOPIC.test(text)) return text
    const found =
      text === 'server'
        ? serverTopic()
        : Domain.safeParse(text).success
          ? (await apps?.byDomain(text))?.record.subscribeTopic
          : undefined
    if (found === undefined) throw new ProtocolError('not_found', 'no topic and no app of that name')
    return found
  }

  app.post('/admin/usage', (c) => {
    const { usage } = room()
    usage.begin()
    return c.json(usage.state(0))
  })
  app.get('/admin/usage', (c) => c.json(room().usage.state(checked(Top, c.req.query()).top)))

  app.get('/admin/topics/:topic', async (c) => {
    const { relayAdmin, now } = room()
    const report = await relayAdmin.report(await topicNamed(c.req.param('topic')), now())
    const shown = (at: number | undefined) => (at === undefined ? null : new Date(at).toISOString())
    const payers = report.payers.map(({ payer, ...held }) => ({ payer: shownPayer(payer), ...held }))
    return c.json({ ...report, payers, oldestAt: shown(report.oldestAt), newestAt: shown(report.newestAt) })
  })
  app.delete('/admin/topics/:topic', async (c) => {
    const { publisher, payer } = checked(Clear, c.req.query())
    const topic = await topicNamed(c.req.param('topic'))
    let removed = 0
    for (let after: number | undefined = 0; after !== undefined; ) {
      const part: Awaited<ReturnType<RelayAdmin['clear']>> = await room().relayAdmin.clear(topic, {
        ...{ after, limit: CLEAR_BATCH_SIZE, publisher, payer: payer === HOUSE_PAYER ? '' : payer },
      })
      removed += part.removed
      after = part.next
    }
    return c.json({ topic, removed })
  })
  return app
}
