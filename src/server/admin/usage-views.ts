/** What counts for whom, table by table: see `usage-walk`. */
import type { Records, TableName, Transfer } from '../../storage/transfer/transfer.ts'

/** What one record counts for one owner; one row unless it says otherwise. */
export interface Share {
  owner: string
  bytes: number
  rows?: number
}

interface View<R> {
  room: string
  what: string
  by: string
  sharesOf: (record: R) => readonly Share[]
}

export interface CountedTable {
  table: TableName
  views: readonly Pick<View<unknown>, 'room' | 'what' | 'by'>[]
  /** Page by page, the shares of each view. */
  pages(transfer: Pick<Transfer, 'read'>, now: number): AsyncIterable<readonly Share[][]>
}

const counted = <T extends TableName>(table: T, views: readonly View<Records[T]>[]): CountedTable => ({
  table,
  views,
  async *pages(transfer, now) {
    for await (const { records } of transfer.read[table].read({ now })) {
      yield views.map(({ sharesOf }) => records.flatMap(sharesOf))
    }
  },
})

const bytesOf = (...texts: readonly string[]): number =>
  texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
/** Of a record of small things: what it would be as JSON. */
const asJson = (record: unknown): number => bytesOf(JSON.stringify(record))

/** What the house itself keeps has no payer. */
export const HOUSE_PAYER = 'house'
export const shownPayer = (payer: string): string => (payer === '' ? HOUSE_PAYER : payer)

export const COUNTED: readonly CountedTable[] = [
  counted('message', [
    {
      ...{ room: 'relay', what: 'messages', by: 'publisher' },
      sharesOf: ({ publisher, message }) => [{ owner: publisher, bytes: bytesOf(message) }],
    },
    {
      ...{ room: 'relay', what: 'messages', by: 'payer' },
      sharesOf: ({ payer, message }) => [{ owner: shownPayer(payer), bytes: bytesOf(message) }],
    },
    {
      ...{ room: 'relay', what: 'messages', by: 'topic' },
      sharesOf: ({ topic, message }) => [{ owner: topic, bytes: bytesOf(message) }],
    },
  ]),
  counted('member', [
    {
      ...{ room: 'relay', what: 'subscriptions', by: 'client' },
      sharesOf: ({ clientId, topic, isSubscribed, acked }) =>
        isSubscribed ? [{ owner: clientId, bytes: bytesOf(clientId, topic) + acked.length * 8 }] : [],
    },
  ]),
  counted('watch', [
    {
      ...{ room: 'relay', what: 'watches', by: 'client' },
      sharesOf: (watch) => [{ owner: watch.clientId, bytes: asJson(watch) }],
    },
  ]),
  counted('job', [
    {
      ...{ room: 'jobs', what: 'jobs', by: 'queue' },
      sharesOf: (job) => [{ owner: job.queue, bytes: asJson(job) }],
    },
  ]),
  counted('identity', [
    {
      ...{ room: 'keys', what: 'identity keys', by: 'account' },
      sharesOf: ({ account, cacao }) => [{ owner: account, bytes: bytesOf(account, cacao) }],
    },
  ]),
  counted('installations', [
    {
      ...{ room: 'contacts', what: 'installations', by: 'account' },
      sharesOf: ({ accountKey, installations }) => [
        { owner: accountKey, rows: installations.length, bytes: asJson(installations) },
      ],
    },
  ]),
  counted('mqMessage', [
    {
      ...{ room: 'mq', what: 'messages', by: 'queue' },
      sharesOf: ({ domain, hashDID, message }) => [
        { owner: `${domain} ${hashDID}`, bytes: bytesOf(message) },
      ],
    },
    {
      ...{ room: 'mq', what: 'messages', by: 'payer' },
      sharesOf: ({ payer = '', message }) => [{ owner: shownPayer(payer), bytes: bytesOf(message) }],
    },
  ]),
  counted('archived', [
    {
      ...{ room: 'archive', what: 'messages', by: 'topic' },
      sharesOf: ({ topic, message }) => [{ owner: topic, bytes: bytesOf(message) }],
    },
  ]),
  counted('registration', [
    {
      ...{ room: 'archive', what: 'registrations', by: 'client' },
      sharesOf: (registration) => [{ owner: registration.clientId, bytes: asJson(registration) }],
    },
  ]),
  counted('notification', [
    {
      ...{ room: 'notify', what: 'notifications', by: 'project' },
      sharesOf: (notification) => [{ owner: notification.projectId, bytes: asJson(notification) }],
    },
    {
      ...{ room: 'notify', what: 'notifications', by: 'app' },
      sharesOf: (notification) => [{ owner: notification.domain, bytes: asJson(notification) }],
    },
  ]),
  counted('account', [
    {
      ...{ room: 'notify', what: 'subscriptions', by: 'app' },
      sharesOf: ({ record }) =>
        record.subscriptions.map((one) => ({ owner: one.domain, bytes: asJson(one) })),
    },
    {
      ...{ room: 'notify', what: 'watchers', by: 'account' },
      sharesOf: ({ accountKey, record }) =>
        record.watchers.map((one) => ({ owner: accountKey, bytes: asJson(one) })),
    },
  ]),
]
