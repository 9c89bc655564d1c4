/** What a project sets for itself: webhooks, the welcome notification, settings. */
import * as z from '#schema'
import {
  changed,
  deadLetters,
  registered,
  replayed,
  settings,
  webhooksById,
  welcomed,
} from '../dapp-schema.ts'
import type { Dapp, DappWebhooks } from './api.ts'
import type { Ask, Paths } from './ask.ts'

const createWebhooks = (ask: Ask, { project }: Paths): DappWebhooks => {
  const of = (id: string) => `/${project}/webhooks/${encodeURIComponent(id)}`
  const letters = (id: string) => `/v1${of(id)}/dead-letters`
  return {
    async list() {
      const byId = await ask(webhooksById, `/${project}/webhooks`, {})
      return Object.entries(byId).map(([id, webhook]) => ({ id, ...webhook }))
    },
    add: (webhook) =>
      ask(registered, `/${project}/register-webhook`, { method: 'POST', body: webhook, isOnce: true }),
    async change(id, { rotateSecret, ...change }) {
      const body = { ...change, ...(rotateSecret !== undefined && { rotate_secret: rotateSecret }) }
      const answer = await ask(changed, of(id), {
        ...{ method: 'PUT', body },
        // A second new secret would take the place of the first.
        ...(rotateSecret && { isOnce: true }),
      })
      return answer?.secret
    },
    async remove(id) {
      await ask(z.unknown(), of(id), { method: 'DELETE' })
    },
    async *eachDeadLetter(id) {
      let after: string | null = null
      do {
        const query: string = after === null ? '' : `?${new URLSearchParams({ after })}`
        const page = await ask(deadLetters, letters(id) + query, {})
        yield* page.dead_letters
        after = page.next
      } while (after !== null)
    },
    async replay(id, eventId) {
      if (eventId === undefined)
        return (await ask(replayed, `${letters(id)}/replay`, { method: 'POST' })).replayed
      const path = `${letters(id)}/${encodeURIComponent(eventId)}/replay`
      await ask(z.unknown(), path, { method: 'POST' })
      return 1
    },
  }
}

export const createOwn = (
  ask: Ask,
  paths: Paths,
): Pick<Dapp, 'webhooks' | 'welcome' | 'setWelcome' | 'settings' | 'setSettings'> => {
  const { project, appDomain, of } = paths
  const welcome = `/v0/${project}/welcome-notification`
  return {
    webhooks: createWebhooks(ask, paths),
    welcome: () => ask(welcomed, `${welcome}?${new URLSearchParams(appDomain)}`, {}),
    async setWelcome(notification) {
      await ask(z.unknown(), welcome, { method: 'POST', body: { ...appDomain, ...notification } })
    },
    settings: () => ask(settings, of('settings'), {}),
    setSettings: ({ retentionDays }) =>
      ask(settings, of('settings'), { method: 'PUT', body: { retention_days: retentionDays } }),
  }
}
