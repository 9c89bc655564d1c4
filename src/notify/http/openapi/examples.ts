/** What the examples of the notify room are about: one project, one app, one wallet. */
export const PROJECT = { projectId: '59ac24c90647c616c325883ef1e55c4a' }
export const DOMAIN = 'app.example.com'
export const ACCOUNT = 'eip155:1:0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359'
export const NOTIFICATION_ID = 'hello-1'
export const TIME = '2026-11-30T08:00:00.000Z'

const KEYS = {
  authenticationKey: '4b2ed4d0e4a8d1f3f0a3b9a1c5c2b1a0f9e8d7c6b5a493827160504030201000',
  subscribeKey: '2f8c6d7e5b4a39281706f5e4d3c2b1a09f8e7d6c5b4a392817069f8e7d6c5b4a',
}
export const APP_KEYS = KEYS

export const APP = {
  ...{ projectId: PROJECT.projectId, domain: DOMAIN, name: 'Example', description: 'Shows how it is done' },
  ...{ url: 'https://app.example.com/', icons: { sm: '', md: '', lg: '' } },
  types: [{ id: 'news', name: 'News', description: 'What is new' }],
  ...{ listed: true, links: false, ...KEYS },
}

export const SUBSCRIBER = {
  ...{ account: ACCOUNT, app_domain: DOMAIN, notification_types: ['news'] },
  ...{ subscribed_at: TIME, expires_at: '2026-12-30T08:00:00.000Z' },
}

export const NOTIFICATION = { type: 'news', title: 'Hello', body: 'from the tower' }

export const COUNTS = { queued: 0, published: 0, delivered: 1, read: 0, failed: 0 }

export const SENT = {
  ...{ notification_id: NOTIFICATION_ID, app_domain: DOMAIN, status: 'done' },
  notification: { ...NOTIFICATION, icon: null, url: null },
  ...{ collapse_key: null, created_at: TIME, deliver_at: null, deliver_by: null },
  ...{ expires_at: '2026-12-30T08:00:00.000Z', counts: COUNTS, push: { pushed: 0, refused: 0 } },
}

export const RECEIPT = { account: ACCOUNT, state: 'delivered', at: TIME }

export const BROADCAST = {
  ...{ id: 'all-1', app_domain: DOMAIN, status: 'done', start_at: TIME, ended_at: TIME },
  ...{ total: 1, handed: 1, skipped: 0, counts: COUNTS },
}
