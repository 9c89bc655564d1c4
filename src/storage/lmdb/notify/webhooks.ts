import type { WebhookStore } from '../../../notify/store/store.ts'
import { name } from '../../bytes.ts'
import type { Env } from '../env.ts'
import type { Tables } from './tables.ts'

const NO_WEBHOOKS = { version: 0, webhooks: [] }

export const createLmdbWebhooks = (env: Env, { webhooks: table }: Tables): WebhookStore => ({
  async webhooks(projectId) {
    return table.get(name(projectId)) ?? NO_WEBHOOKS
  },

  async commitWebhooks({ projectId, expectedVersion, webhooks }) {
    const at = name(projectId)
    return env.transaction(() => {
      if ((table.get(at) ?? NO_WEBHOOKS).version !== expectedVersion) return false
      table.put(at, { version: expectedVersion + 1, webhooks: [...webhooks] })
      return true
    })
  },
})
