/** Which events the webhooks of an app's project listen to, cached for a second. */
import type { Clock } from '../../platform/runtime/clock.ts'
import type { NotifyStore } from '../store/store.ts'
import type { WebhookEvent } from '../store/webhooks.ts'

/** How long a process uses what it last read. */
const LISTENERS_CACHE_MS = 1_000
const MAX_CACHED_APPS = 10_000

export interface Listeners {
  wants(domain: string, event: WebhookEvent): Promise<boolean>
  /** Forgets what was cached: the webhooks of a project have changed. */
  clear(): void
}

export const createListeners = ({
  store,
  clock,
}: {
  store: Pick<NotifyStore, 'app' | 'webhooks'>
  clock: Clock
}): Listeners => {
  const cached = new Map<string, { until: number; events: Promise<ReadonlySet<WebhookEvent>> }>()

  const read = async (domain: string): Promise<ReadonlySet<WebhookEvent>> => {
    const app = await store.app(domain)
    const { webhooks } = app ? await store.webhooks(app.projectId) : { webhooks: [] }
    return new Set(webhooks.flatMap(({ state, events }) => (state === 'disabled' ? [] : events)))
  }

  return {
    async wants(domain, event) {
      const now = clock.now()
      const known = cached.get(domain)
      if (known && known.until > now) return (await known.events).has(event)
      if (cached.size >= MAX_CACHED_APPS) cached.clear()
      const entry = { until: now + LISTENERS_CACHE_MS, events: read(domain) }
      cached.set(domain, entry)
      try {
        return (await entry.events).has(event)
      } catch (error) {
        if (cached.get(domain) === entry) cached.delete(domain)
        throw error
      }
    },
    clear: () => cached.clear(),
  }
}
