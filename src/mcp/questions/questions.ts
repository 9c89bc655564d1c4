/**
 * Questions to accounts, and their answers. All of it is kept by the notify server under the question's id: this process may
 * be killed while it waits, and another one goes on with the same id.
 *
 * A question is a notification whose actions ask for an answer. Its end is the notification's `deliver_by`.
 */
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import { accountKey, parseAccount } from '../../protocol/caip.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import type { ContractWalletCheck } from '../../protocol/signatures.ts'
import type { Dapp, OutgoingNotification, Receipt, SentNotification } from '../../sdk/dapp.ts'
import { type Count, countAnswers, namedChains, type Question } from './verify.ts'

/** Between two looks for answers, ms: the first ones are soon, because a person may be looking. */
const POLL_EVERY_MS = [500, 1_000, 2_000, 3_000] as const
const PAGE_SIZE = 1_000
/** Receipts of one question that are looked at; more are a broadcast, which `receipts` pages through. */
const MAX_PAGES = 10

type AskingDapp = Pick<Dapp, 'notify' | 'notification' | 'receipts'>

export interface QuestionDeps {
  dapp: AskingDapp
  /** For pauses. */
  clock: Clock
  /** Unix ms at the server, by whose time a question ends. */
  serverNow: () => number
  verifySignature?: ContractWalletCheck | undefined
}

export interface Asked {
  id: string
  content: OutgoingNotification & { actions: readonly { id: string; title: string; answer: true }[] }
  accounts: readonly string[]
  /** Seconds that there are for answers. */
  ttl?: number | undefined
}

export interface QuestionState extends Count {
  question: Question
  content: SentNotification['notification']
  /** Accounts that were asked and have no answer that counts; the undecided ones are among them. */
  missing: string[]
  status: 'answered' | 'waiting' | 'closed'
}

export interface Questions {
  /**
   * Asks, unless it was asked already. Returns accounts that could not be asked. Throws `conflict` when the id is that of
   * another notification. Tries again while the server cannot be asked, as long as there is time.
   */
  ask(
    asked: Asked,
    waiting: Pick<Waiting, 'waitMs' | 'signal'>,
  ): Promise<{ notSubscribed: string[]; failed: { account: string; reason: string }[] }>
  /** Throws `not_found`, and `unknown_action` for a notification that asks nothing. */
  state(id: string, wanted?: Wanted): Promise<QuestionState>
  /** Resolves when the question is answered or closed, when `waitMs` are over, or when the signal ends the waiting. */
  wait(id: string, wanted: Wanted, waiting: Waiting): Promise<QuestionState>
}

export interface Wanted {
  /** Whose answers count. Absent: of all who got it. */
  accounts?: readonly string[] | undefined
  /** So many answers are enough. Absent: all. */
  enough?: number | undefined
}

export interface Waiting {
  waitMs: number
  signal: AbortSignal
  onLook(state: QuestionState): Promise<void>
}

const keyOf = (account: string): string => accountKey(parseAccount(account))

const choicesOf = ({ notification }: SentNotification): string[] =>
  (notification.actions ?? []).flatMap((action) => ('answer' in action ? [action.id] : []))

/** What the account's owner sees, and so what the answer is an answer to. */
const shownText = ({
  title,
  body,
  url,
  actions = [],
}: OutgoingNotification | SentNotification['notification']) =>
  JSON.stringify([title, body, url ?? null, actions.map(({ id, title: label }) => [id, label])])

const checkSame = (found: SentNotification, { content }: Asked): void => {
  if (shownText(found.notification) === shownText(content)) return
  throw new ProtocolError('conflict', 'the id is that of another question; choose a new one')
}

const findIn = async (dapp: AskingDapp, id: string): Promise<SentNotification | undefined> => {
  try {
    return await dapp.notification(id)
  } catch (error) {
    if (error instanceof ProtocolError && error.code === 'not_found') return undefined
    throw error
  }
}

const questionOf = (found: SentNotification): Question => {
  const choices = choicesOf(found)
  if (choices.length === 0) throw new ProtocolError('unknown_action', 'the notification asks nothing')
  const { createdAt, deliverBy, domain, id } = found
  if (createdAt === null || deliverBy === null) throw new ProtocolError('not_found', 'it is not sent yet')
  return { domain, id, choices, askedAt: Date.parse(createdAt), closesAt: Date.parse(deliverBy) }
}

const allReceipts = async (dapp: AskingDapp, id: string): Promise<Receipt[]> => {
  const all: Receipt[] = []
  let after: string | undefined
  for (let page = 0; page < MAX_PAGES; page++) {
    const { receipts, next } = await dapp.receipts(id, {
      limit: PAGE_SIZE,
      ...(after !== undefined && { after }),
    })
    all.push(...receipts)
    if (next === null) return all
    after = next
  }
  throw new ProtocolError(
    'too_large',
    `it was sent to more than ${MAX_PAGES * PAGE_SIZE} accounts; see receipts`,
  )
}

/** Failures that are over by themselves, as when the server is started again. */
const isPassing = (error: unknown): error is ProtocolError =>
  error instanceof ProtocolError && (error.code === 'unavailable' || error.code === 'rate_limited')

/** What a look for answers needs not to be repeated: nothing has changed while this has not. */
const markOf = ({ status, counts, answers }: SentNotification): string =>
  JSON.stringify([status, counts, answers])

/** Verifies what the server has of a question. `found`: the notification. */
const createLook =
  (
    { dapp, serverNow, verifySignature }: QuestionDeps,
    { domain, notifyUrls }: { domain: string; notifyUrls: readonly string[] },
  ) =>
  async (found: SentNotification, { accounts, enough }: Wanted): Promise<QuestionState> => {
    // Answers to another app do not count, whatever app the server says it was.
    const question = { ...questionOf(found), domain }
    const receipts = await allReceipts(dapp, found.id)
    const asked = accounts && namedChains(accounts)
    const now = serverNow()
    const count = await countAnswers(question, receipts, { asked, now, notifyUrls, verifySignature })
    // An account answers once: one whose answer does not count is not waited for.
    const heard = new Set([...count.counted, ...count.refused].map(({ account }) => keyOf(account)))
    const missing = receipts.flatMap(({ account, state }) => {
      const isAwaited =
        state !== 'failed' && !heard.has(keyOf(account)) && asked?.has(keyOf(account)) !== false
      return isAwaited ? [account] : []
    })
    const isOver = found.status === 'cancelled' || missing.length === 0 || now > question.closesAt
    const isEnough = count.counted.length >= (enough ?? 1) && (enough !== undefined || missing.length === 0)
    const status = isEnough ? 'answered' : isOver ? 'closed' : 'waiting'
    return { ...count, question, content: found.notification, missing, status }
  }

const askOnce = async (dapp: AskingDapp, asked: Asked): ReturnType<Questions['ask']> => {
  const { id, content, accounts, ttl } = asked
  const known = await findIn(dapp, id)
  if (known) checkSame(known, asked)
  const sent = await dapp.notify(content, accounts, { id, ...(ttl !== undefined && { ttl }) })
  // The first notification with the id is the one that was sent, which may be somebody else's of this moment.
  if (!known) checkSame(await dapp.notification(id), asked)
  return { notSubscribed: sent.notFound, failed: sent.failed }
}

const pauseAfter = (turn: number): number => POLL_EVERY_MS[Math.min(turn, POLL_EVERY_MS.length - 1)] ?? 0

/** Tries again what failed for a reason that passes, until then. */
const createInsist =
  (clock: Clock) =>
  async <T>(
    task: () => Promise<T>,
    { until, signal }: { until: number; signal: AbortSignal },
  ): Promise<T> => {
    for (let turn = 0; ; turn++) {
      try {
        return await task()
      } catch (error) {
        if (!isPassing(error) || clock.now() >= until || signal.aborted) throw error
      }
      await pause(clock, Math.min(pauseAfter(turn), Math.max(0, until - clock.now())), signal)
    }
  }

/** `domain`: of the app that asks; `notifyUrls`: by which recaps may name the server. */
export const createQuestions = (
  deps: QuestionDeps,
  options: { domain: string; notifyUrls: readonly string[] },
): Questions => {
  const { dapp, clock, serverNow } = deps
  const look = createLook(deps, options)
  const insist = createInsist(clock)

  return {
    state: async (id, wanted = {}) => look(await dapp.notification(id), wanted),

    ask: (asked, { waitMs, signal }) =>
      insist(() => askOnce(dapp, asked), { until: clock.now() + waitMs, signal }),

    async wait(id, wanted, { waitMs, signal, onLook }) {
      const end = clock.now() + waitMs
      let last: { mark: string; state: QuestionState } | undefined
      for (let turn = 0; ; turn++) {
        const isLast = clock.now() >= end || signal.aborted
        try {
          const found = await dapp.notification(id)
          const mark = markOf(found)
          const isOld = last?.mark !== mark || serverNow() > last.state.question.closesAt
          const isOpen = last !== undefined && last.state.undecided.length > 0
          const state = last && !isOld && !isOpen ? last.state : await look(found, wanted)
          last = { mark, state }
          if (isLast || state.status !== 'waiting') return state
          await onLook(state)
        } catch (error) {
          if (isLast || !isPassing(error)) throw error
        }
        await pause(clock, Math.min(pauseAfter(turn), Math.max(0, end - clock.now())), signal)
      }
    },
  }
}
