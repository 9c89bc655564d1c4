import type { Webhook, WebhookStore } from '../../../notify/store/store.ts'
import { swapScript } from '../lua/notify/accounts/swap.ts'
import { whole } from '../script.ts'
import { type NotifyDeps, parsed } from './deps.ts'

interface Row {
  version: number
  webhooks: Webhook[]
}

/** A project's webhooks are one value: the version in it tells whether it is still the one that was read. */
export const createRedisWebhooks = ({ redis, ask, layout }: NotifyDeps): WebhookStore => ({
  async webhooks(projectId) {
    const row = parsed<Row>(await ask(() => redis.client.get(layout.webhooks(projectId))))
    return row ?? { version: 0, webhooks: [] }
  },

  async commitWebhooks({ projectId, expectedVersion, webhooks }) {
    const key = layout.webhooks(projectId)
    const next = JSON.stringify({ version: expectedVersion + 1, webhooks })
    const old = await ask(() => redis.client.get(key))
    if ((parsed<Row>(old)?.version ?? 0) !== expectedVersion) return false
    if (old === null) return (await ask(() => redis.client.set(key, next, 'NX'))) === 'OK'
    return whole(await ask(() => redis.script(swapScript, [key], [old, next]))) === 1
  },
})
