/** What clients of the rooms see of the store that `furnish` fills, beside the records themselves. */
import type { Stores } from '../../src/storage/stores.ts'
import { notification } from './notify-samples.ts'
import { client, hex, textsOf, topic, waitingTopics } from './relay-samples.ts'

/** The account that has most of it. */
export const address = `eip155:0x${'ab'.repeat(20)}`

type Ask = () => Promise<unknown>
/** Questions by name, so that one without an answer hides no other. */
const all = async (questions: Record<string, Ask>): Promise<Record<string, unknown>> =>
  Object.fromEntries(
    await Promise.all(Object.entries(questions).map(async ([what, ask]) => [what, await ask()])),
  )

const SENT = ['n0', 'n3', 'n5', 'n6', 'c1', 'c2', 'cancelled', 'late', 'waits']

/** One notification, and what became of it. */
const sentIn = async ({ notify }: Stores, id: string) => {
  const one = { ...notification(id), ...(await notify.notification('project', 'app.example', id)) }
  return {
    notification: one,
    counts: await notify.receiptCounts(one),
    // In the order of the engine.
    receipts: (await notify.receipts(one, { limit: 10 })).sort((a, b) => (a.account < b.account ? -1 : 1)),
    clicks: await notify.clicks(one),
    copyClicks: await notify.copyClicks(one, `copy of ${id} for one`),
  }
}

const notifyQuestions = (stores: Stores, now: number) => {
  const { keys, notify } = stores
  const page = { after: null, limit: 1_000, unreadFirst: true, now }
  return {
    identities: async () => [
      await keys.identity('did:key:a'),
      await keys.identity('did:key:a', 'eip155:0x0'),
    ],
    invites: async () => [await keys.invite('eip155:0xa'), await keys.invite('eip155:0xd')],
    app: () => notify.appByTopic('subscribe topic of b.example'),
    owners: async () => [await notify.topicOwner(hex('notify two')), await notify.watcherOwner('did:key:w')],
    record: async () => (await notify.account(address)).record,
    subscribers: async () =>
      (await notify.subscribers('app.example', { limit: 100 })).map(({ accountKey }) => accountKey),
    topics: () => notify.topics({ limit: 100 }),
    due: async () => (await notify.accountsDue(now, 100)).sort(),
    history: () => notify.history('one', page),
    copy: () => notify.deliveredById('copy of n0 for two'),
    unread: () => notify.unreadCounts(['one', 'three', 'ended']),
    sent: () => Promise.all(SENT.map((id) => sentIn(stores, id))),
    listed: async () =>
      new Set((await notify.notifications('project', { limit: 1_000 })).notifications.map(({ id }) => id)),
    asked: async () => [
      await notify.wasCommitted(hex('request'), now),
      await notify.wasCommitted('none', now),
    ],
    webhooks: async () => (await notify.webhooks('project')).webhooks,
  }
}

const relayQuestions = ({ relay }: Stores, now: number) => ({
  pending: () =>
    Promise.all(['a', 'b', 'left', 'never'].map((one) => textsOf(relay, client(one), topic('box'), { now }))),
  owned: () => Promise.all(['owner', 'a'].map((one) => textsOf(relay, client(one), topic('owned'), { now }))),
  watches: async () =>
    (await relay.watches([client('a'), client('b')], now, true)).toSorted((a, b) => (a.url < b.url ? -1 : 1)),
  waiting: () => waitingTopics(relay, client('many'), now),
  joined: async () => [
    await relay.topicsOf(client('a'), { limit: 10 }),
    (await relay.topicsOf(client('many'), { limit: 1_000 })).length,
    await relay.isSubscribed(client('left'), topic('box')),
  ],
})

const neighbourQuestions = ({ jobQueue, contacts, mq, operator, archive }: Stores, now: number) => ({
  approvals: () => Promise.all(['open', 'named', 'given one 60'].map((id) => operator.approval(id))),
  chain: () => operator.chain('project', 'one-1'),
  log: () => operator.microblocks('project', 'one-1', { after: 0, limit: 100 }),
  dead: () => jobQueue.list('calls', { group: 'g', dead: true, limit: 10 }),
  jobs: async () => [await jobQueue.count('calls', 'h'), (await jobQueue.count('calls', 'g')).dead],
  installations: () => contacts.installations('eip155:0xa', now),
  nonces: async () => [await contacts.nonce('eip155:0xa'), await contacts.nonce('did:key:a')],
  attended: () =>
    Promise.all(
      ['default', 'vault.csc'].map((domain) => mq.attendedUntil({ domain, hashDID: 'reader' }, now)),
    ),
  archived: () =>
    archive.page(topic('box'), {
      ...{ origin: hex('archived three'), direction: 'backward', limit: 10, maxBytes: 1_000, now },
    }),
  tags: () => archive.tags(now, 100),
})

export const questionsTo = (stores: Stores, now: number) => ({
  ...notifyQuestions(stores, now),
  ...relayQuestions(stores, now),
  ...neighbourQuestions(stores, now),
})

type Seen = {
  [Q in keyof ReturnType<typeof questionsTo>]: Awaited<ReturnType<ReturnType<typeof questionsTo>[Q]>>
}
/** The answers to all of them. */
export const seenIn = async (stores: Stores, now: number): Promise<Seen> =>
  (await all(questionsTo(stores, now))) as Seen
