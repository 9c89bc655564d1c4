/** What the examples of dapps need: notifications that wait, broadcasts, webhooks with dead letters. */
import { eventually } from '../../../support/eventually.ts'
import { type Cast, DOMAIN } from '../cast.ts'
import type { Prepared } from '../requests.ts'

export type Preparations = Readonly<Record<string, () => Promise<Prepared>>>

const LATER = () => new Date(Date.now() + 3_600_000).toISOString()

export const notifyPreparations = ({ world, owner, receiver, received }: Cast): Preparations => {
  const { id: projectId, secret: token } = world.project
  const authorized = { headers: { authorization: `Bearer ${token}` } }
  const notification = { type: 'news', title: 'Hello', body: 'from the tower' }

  const ask = async (method: string, path: string, body?: unknown) => {
    const answer = await world.http(method, path, { token, ...(body !== undefined && { body }) })
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return Object(answer.body)
  }
  const schedule = (id: string) =>
    ask('POST', `/${projectId}/notify`, {
      ...{ notification_id: id, notification, accounts: [owner.account], deliver_at: LATER() },
    })
  const broadcastLater = (id: string) =>
    ask('POST', `/v1/${projectId}/broadcasts`, {
      ...{ notification_id: id, appDomain: DOMAIN, notification, deliver_at: LATER() },
    })
  const webhook = async (): Promise<string> =>
    (await ask('POST', `/${projectId}/register-webhook`, { url: receiver.url, events: ['subscribed'] })).id
  const deadLetter = async () => {
    const id = await webhook()
    const job = { queue: 'webhooks', id: `${id}.event-1`, group: id, at: Date.now(), attempts: 0 }
    const event = {
      type: 'subscribed',
      timestamp: LATER(),
      data: { account: owner.account, app_domain: DOMAIN },
    }
    await world.stores.jobQueue.add([
      {
        ...{ ...job, expiresAt: Date.now() + 3_600_000 },
        body: { projectId, webhookId: id, eventId: 'event-1', event },
      },
    ])
    await world.stores.jobQueue.complete('webhooks', [
      { id: job.id, kind: 'failed', attempts: 8, failure: 'it answered 500' },
    ])
    return { id, event: 'event-1' }
  }
  const after =
    (work: () => Promise<unknown>): (() => Promise<Prepared>) =>
    async () => {
      await work()
      return authorized
    }
  const withDeadLetter = async (): Promise<Prepared> => ({ ...authorized, params: await deadLetter() })
  const ofAdmin = async (): Promise<Prepared> => {
    const { id: webhook, event } = await deadLetter()
    return { params: { id: projectId, webhook, event } }
  }

  return {
    cancelNotification: after(() => schedule('later-1')),
    adminCancelNotification: async () => {
      await schedule('later-2')
      return {}
    },
    cancelBroadcast: after(() => broadcastLater('all-2')),
    adminCancelBroadcast: async () => {
      await broadcastLater('all-4')
      return {}
    },
    registerWebhook: async () => ({ ...authorized, body: { url: receiver.url, events: ['subscribed'] } }),
    changeWebhook: async () => ({ ...authorized, params: { id: await webhook() } }),
    removeWebhook: async () => ({ ...authorized, params: { id: await webhook() } }),
    listDeadLetters: withDeadLetter,
    replayDeadLetters: withDeadLetter,
    replayDeadLetter: withDeadLetter,
    adminAddWebhook: async () => ({ body: { url: receiver.url, events: ['subscribed'] } }),
    adminRemoveWebhook: async () => ({ params: { webhook: await webhook() } }),
    adminListDeadLetters: ofAdmin,
    adminReplayDeadLetters: ofAdmin,
    adminReplayDeadLetter: ofAdmin,
    async followLink() {
      const linked = { ...notification, title: 'Follow me', url: 'https://app.example.com/x' }
      await ask('POST', `/${projectId}/notify`, { notification: linked, accounts: [owner.account] })
      return eventually(() => {
        const found = received.find(({ title }) => title === 'Follow me')
        if (!found) throw new Error('It has not arrived')
        return { params: { id: found.id } }
      })
    },
  }
}
