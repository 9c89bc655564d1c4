/**
 * What accounts answered to the actions of notifications, with the proof of it; over the port. The first answer of an
 * account to a notification counts. It lasts as long as the notification.
 *
 * | table | partition · key | value |
 * |---|---|---|
 * | notify.actionAnswers | the notification · account key | the answer |
 * | notify.actionAnswered | the notification, action · account key | – |
 * | notify.answeringAccounts | the account · the notification's partition | the names of the notification |
 *
 * The last one leads from an account to its answers. It is written before the answer, so it may lead to none.
 */
import { createHash } from 'node:crypto'
import * as z from 'zod'
import { behind, name } from '../../storage/bytes.ts'
import { json, NOTHING } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, mapped, read, transact } from '../../storage/table.ts'
import type { Notification } from './records.ts'

export interface ActionAnswer {
  /** Id of the action. */
  action: string
  /** When the server took it, unix ms. */
  at: number
  /** The request, signed by the identity key. */
  jwt: string
  /** JSON of the CACAO by which the account lets that key speak for it. */
  cacao: string
  /** The id of the copy follows from it and from the notification's, so it ties the JWT to the notification. */
  subscriptionId: string
}

/** The names by which a backup knows a notification, as with what was pushed. */
interface AnsweredNotification {
  projectId: string
  domain: string
  notificationId: string
  sentAt: number
  expiresAt: number
}

export interface AccountAnswer extends AnsweredNotification {
  accountKey: string
  answer: ActionAnswer
}

export interface ActionAnswerStore {
  /** Keeps the answer unless the account has one; returns the one that is kept. */
  keepAnswer(notification: Notification, accountKey: string, answer: ActionAnswer): Promise<ActionAnswer>
  /** How many accounts answered with each of these actions. */
  answerCounts(notification: Notification, actions: readonly string[]): Promise<Record<string, number>>
  /** Of these accounts those that answered, by account key. */
  answersOf(notification: Notification, accountKeys: readonly string[]): Promise<Map<string, ActionAnswer>>
  /** The account's answer to each of the notifications, in their order. */
  answersBy(
    accountKey: string,
    notifications: readonly Notification[],
  ): Promise<readonly (ActionAnswer | undefined)[]>
  /** All answers of one account that have not expired. */
  accountAnswers(accountKey: string, now: number): AsyncIterable<AccountAnswer>
  /** Removes all answers of the account. Idempotent. */
  forgetAnswers(accountKey: string): Promise<void>
  /** Puts those of another store there. Idempotent. */
  restoreAnswers(records: readonly AccountAnswer[], now: number): Promise<void>
}

const answerSchema: z.ZodType<ActionAnswer> = z.object({
  action: z.string(),
  at: z.number(),
  jwt: z.string(),
  cacao: z.string(),
  subscriptionId: z.string(),
})
const namesShape = {
  projectId: z.string(),
  domain: z.string(),
  notificationId: z.string(),
  sentAt: z.number(),
  expiresAt: z.number(),
}
export const accountAnswer: z.ZodType<AccountAnswer> = z.object({
  ...namesShape,
  accountKey: z.string(),
  answer: answerSchema,
})

export const ACTION_ANSWER_TABLES = {
  answers: defineTable({
    name: 'notify.actionAnswers',
    shape: 'map',
    codec: json(z.object({ ...namesShape, answer: answerSchema })),
    ends: true,
  }),
  answered: defineTable({ name: 'notify.actionAnswered', shape: 'index', codec: NOTHING, ends: true }),
  accounts: defineTable({
    name: 'notify.answeringAccounts',
    shape: 'ordered',
    codec: json(z.object(namesShape)),
    ends: true,
  }),
}

const ACCOUNT_PAGE_SIZE = 100

const namesOf = ({ projectId, domain, id, createdAt, expiresAt }: Notification): AnsweredNotification => ({
  projectId,
  domain,
  notificationId: id,
  sentAt: createdAt,
  expiresAt,
})

const setsOf = ({ projectId, domain, sentAt, notificationId }: AnsweredNotification) => {
  const hash = createHash('sha256').update([projectId, domain, sentAt, notificationId].join('\0'))
  const partition = `answers ${hash.digest('base64url')}`
  const { answers, answered } = ACTION_ANSWER_TABLES
  return {
    partition,
    answers: answers.in(partition),
    answered: (action: string) => answered.in(partition, action),
  }
}

const accountSet = (accountKey: string) => ACTION_ANSWER_TABLES.accounts.in(`answering ${accountKey}`)

const keep = async (
  kv: Kv,
  names: AnsweredNotification,
  { accountKey, answer, now }: { accountKey: string; answer: ActionAnswer; now: number },
): Promise<ActionAnswer> => {
  const { partition, answers, answered } = setsOf(names)
  const { expiresAt } = names
  const key = name(accountKey)
  const account = accountSet(accountKey)
  const entry = account.create({ key: name(partition), value: names, expiresAt })
  await kv.commit([{ partition: account.name.partition, writes: [entry] }], now)
  return transact(kv, now, async () => {
    const [{ value, isUnchanged }] = await read(kv, [answers.get(key)])
    if (value && value.expiresAt > now) return { answer: value.answer }
    const writes = [
      answers.put({ key, value: { ...names, answer }, expiresAt }),
      answered(answer.action).put({ key, value: true, expiresAt }),
    ]
    return { answer, batch: { partition, checks: [isUnchanged], writes, isOnce: false } }
  })
}

/** What an account may be asked for as a whole. */
const createAccountVerbs = (kv: Kv): Pick<ActionAnswerStore, 'accountAnswers' | 'forgetAnswers'> => {
  /** Pages of the notifications that the account may have answered. */
  async function* pages(accountKey: string) {
    const set = accountSet(accountKey)
    for (let from: Buffer | undefined; ; ) {
      const range = { ...(from && { from }), limit: ACCOUNT_PAGE_SIZE }
      const [rows] = await read(kv, [set.range(range)])
      yield rows
      const last = rows.at(-1)
      if (!last || rows.length < ACCOUNT_PAGE_SIZE) return
      from = behind(last.key)
    }
  }
  return {
    async *accountAnswers(accountKey, now) {
      const key = name(accountKey)
      for await (const rows of pages(accountKey)) {
        const found = await read(
          kv,
          rows.map(({ value }) => setsOf(value).answers.get(key)),
        )
        for (const { value } of found) if (value && value.expiresAt > now) yield { ...value, accountKey }
      }
    },

    async forgetAnswers(accountKey) {
      const key = name(accountKey)
      const account = accountSet(accountKey)
      for await (const rows of pages(accountKey)) {
        for (const { value: names, key: place } of rows) {
          const { partition, answers, answered } = setsOf(names)
          await transact(kv, 0, async () => {
            const [{ value, isUnchanged }] = await read(kv, [answers.get(key)])
            if (!value) return { answer: undefined }
            const writes = [answers.remove(key), answered(value.answer.action).remove(key)]
            return { answer: undefined, batch: { partition, checks: [isUnchanged], writes } }
          })
          await kv.commit([{ partition: account.name.partition, writes: [account.remove(place)] }], 0)
        }
      }
    },
  }
}

export const createActionAnswerStore = (kv: Kv): ActionAnswerStore => ({
  ...createAccountVerbs(kv),

  keepAnswer: (notification, accountKey, answer) =>
    keep(kv, namesOf(notification), { accountKey, answer, now: answer.at }),

  async answerCounts(notification, actions) {
    const { answered } = setsOf(namesOf(notification))
    const counts = await read(
      kv,
      actions.map((action) => mapped(answered(action).count(), (count) => [action, count] as const)),
    )
    return Object.fromEntries(counts)
  },

  async answersOf(notification, accountKeys) {
    const { answers } = setsOf(namesOf(notification))
    const found = await read(
      kv,
      accountKeys.map((accountKey) => answers.get(name(accountKey))),
    )
    return new Map(
      accountKeys.flatMap((accountKey, at) => {
        const answer = found[at]?.value?.answer
        return answer ? [[accountKey, answer] as const] : []
      }),
    )
  },

  async answersBy(accountKey, notifications) {
    if (notifications.length === 0) return []
    const key = name(accountKey)
    const found = await read(
      kv,
      notifications.map((notification) => setsOf(namesOf(notification)).answers.get(key)),
    )
    return found.map(({ value }) => value?.answer)
  },

  async restoreAnswers(records, now) {
    for (const { accountKey, answer, ...names } of records) await keep(kv, names, { accountKey, answer, now })
  },
})
