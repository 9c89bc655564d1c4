/** Tools that ask accounts something, and count their signed answers. */
import * as z from 'zod'
import type { QuestionState, Questions } from '../questions/questions.ts'
import { account, content, iso, notificationId, time, wait } from './shapes.ts'
import { defineTool, READS, SENDS, type Tool, type ToolContext } from './tool.ts'

const MAX_ACCOUNTS = 100
const MAX_TTL_S = 2_592_000

const enough = z
  .number()
  .int()
  .min(1)
  .max(MAX_ACCOUNTS)
  .optional()
  .describe('So many answers end the wait. Default: all accounts')

const output = z.object({
  id: z.string(),
  title: z.string(),
  status: z
    .enum(['answered', 'waiting', 'closed'])
    .describe('waiting: ask again with the same id to go on waiting; closed: nobody is waited for any more'),
  answers: z.array(
    z.object({
      account: z.string(),
      choice: z.string(),
      signed_at: time,
      identity_key: z.string().describe('did:key that signed'),
    }),
  ),
  counts: z.record(z.string(), z.number()).describe('Answers that count, by choice'),
  missing: z.array(z.string()).describe('Asked, and no answer yet'),
  refused: z
    .array(z.object({ account: z.string(), reason: z.string() }))
    .describe('Answers that do not count: their signatures say something else'),
  undecided: z
    .array(z.string())
    .describe('Smart accounts that answered, and whose chain cannot be asked now; looked at again'),
  not_subscribed: z.array(z.string()).describe('Accounts that could not be asked'),
  failed: z.array(z.object({ account: z.string(), reason: z.string() })),
  asked_at: time,
  closes_at: time.describe('Later answers do not count'),
})

const shown = (
  { question, content: said, status, counted, missing, refused, undecided }: QuestionState,
  { notSubscribed, failed }: Awaited<ReturnType<Questions['ask']>>,
): z.output<typeof output> => ({
  id: question.id,
  title: said.title,
  status,
  answers: counted.map(({ account: who, choice, signedAt, identityKey }) => ({
    ...{ account: who, choice, signed_at: iso(signedAt), identity_key: identityKey },
  })),
  counts: Object.fromEntries(
    question.choices.map((choice) => [choice, counted.filter((one) => one.choice === choice).length]),
  ),
  ...{ missing, refused, undecided, not_subscribed: notSubscribed, failed },
  asked_at: iso(question.askedAt),
  closes_at: iso(question.closesAt),
})

/** Waits as long as the call says, from now on, and tells the client how far it is. */
const waiting = (seconds: number, { signal, progress }: ToolContext) => {
  const begin = performance.now()
  const elapsedMs = () => performance.now() - begin
  return {
    signal,
    /** What is left of it. */
    get waitMs() {
      return Math.max(0, seconds * 1_000 - elapsedMs())
    },
    onLook: ({ counted, missing }: QuestionState) => {
      const of = counted.length + missing.length
      const elapsed = elapsedMs() / 1_000
      return progress(elapsed, Math.max(seconds, elapsed), `${counted.length} of ${of} have answered`)
    },
  }
}

const createAsk = (questions: Questions): Tool =>
  defineTool({
    name: 'ask',
    title: 'Ask accounts a question',
    description:
      'Asks accounts that are subscribed to the app, with up to 3 choices as buttons, and waits for answers that their wallets sign. Every signature is verified here. Choose the id once and keep it: a call with the same id, question and choices asks nobody twice and goes on waiting, also after a restart.',
    annotations: SENDS,
    input: z.strictObject({
      id: notificationId.describe('Of the question, chosen by you; the same one again goes on waiting'),
      ...content,
      choices: z
        .array(z.strictObject({ id: z.string().min(1).max(64), title: z.string().min(1).max(64) }))
        .min(1)
        .max(3),
      accounts: z.array(account).min(1).max(MAX_ACCOUNTS),
      enough,
      answer_within_seconds: z
        .number()
        .int()
        .min(1)
        .max(MAX_TTL_S)
        .optional()
        .describe('Later answers do not count. Counts from the first call; default 30 days'),
      wait_seconds: wait,
    }),
    output,
    async run(given, context) {
      const { id, choices, accounts, wait_seconds: seconds, answer_within_seconds: ttl, ...rest } = given
      const { type, title, body, url, priority } = rest
      const actions = choices.map((choice) => ({ ...choice, answer: true as const }))
      const optional = { ...(url !== undefined && { url }), ...(priority !== undefined && { priority }) }
      const pending = waiting(seconds, context)
      const asked = { id, accounts, ttl, content: { type, title, body, actions, ...optional } }
      const sent = await questions.ask(asked, pending)
      const wanted = { accounts, enough: rest.enough }
      return shown(await questions.wait(id, wanted, pending), sent)
    },
  })

const createAnswers = (questions: Questions): Tool =>
  defineTool({
    name: 'answers',
    title: 'Answers to a question',
    description:
      'Fetches the answers to a question that was asked, and verifies their signatures here. With wait_seconds it waits for what is missing.',
    annotations: READS,
    input: z.strictObject({
      id: notificationId.describe('Of the question'),
      accounts: z
        .array(account)
        .min(1)
        .max(MAX_ACCOUNTS)
        .optional()
        .describe('Whose answers count. Default: all'),
      enough,
      wait_seconds: wait.default(0),
    }),
    output,
    async run({ id, accounts, enough: least, wait_seconds: seconds }, context) {
      const state = await questions.wait(id, { accounts, enough: least }, waiting(seconds, context))
      return shown(state, { notSubscribed: [], failed: [] })
    },
  })

export const createQuestionTools = (questions: Questions): { sends: Tool[]; reads: Tool[] } => ({
  sends: [createAsk(questions)],
  reads: [createAnswers(questions)],
})
