/** Answers to what messages ask: signed and sent by the wallet, and kept with the message. */
import { type PressedAnswer, ProtocolError, type Wallet } from '../../../sdk/wallet.ts'
import type { Database, Message } from './database.ts'

export interface Answers {
  /** Throws what the server answers, or `unavailable`. */
  give(message: Pick<Message, 'domain' | 'id'>, action: string): Promise<void>
  /** One was pressed in a notification of the browser, and the server has answered. */
  pressed(answer: PressedAnswer): Promise<void>
}

interface AnswersDeps {
  wallet: Pick<Wallet, 'answer' | 'connected'>
  database: Pick<Database, 'message' | 'put'>
  /** Reads what is new of an app. */
  catchUp: (domain: string) => Promise<void>
  /** It is in the database now. */
  changed: (message: Message) => void
  /** What the reader did while the page was closed, and was refused. */
  refused: (error: ProtocolError) => void
}

export const answersOf = ({ actions = [] }: Message) => actions.filter((one) => 'answer' in one)

/** Of two answers the one that was not refused is the one that counts. */
const otherThan = (message: Message, refused: string): string | null => {
  const [other, ...more] = answersOf(message).filter(({ id }) => id !== refused)
  return other && more.length === 0 ? other.id : null
}

export const createAnswers = ({ wallet, database, catchUp, changed, refused }: AnswersDeps): Answers => {
  const keep = async ({ domain, id, action, refused: code }: PressedAnswer): Promise<void> => {
    // A notification of the browser may be pressed before its message was read here.
    if (!(await database.message(domain, id))) await catchUp(domain)
    const known = await database.message(domain, id)
    if (!known) return
    const answered = code === undefined ? action : otherThan(known, action)
    for (const message of await database.put([{ ...known, answered, isRead: true }])) changed(message)
  }
  return {
    async give({ domain, id }, action) {
      // A socket does not notice at once that there is no network; a person would wait for a long time.
      if (!wallet.connected || !navigator.onLine) throw new ProtocolError('unavailable')
      try {
        await wallet.answer(domain, id, action)
      } catch (error) {
        if (error instanceof ProtocolError && error.code === 'already_answered')
          await keep({ domain, id, action, refused: error.code })
        throw error
      }
      await keep({ domain, id, action })
    },
    async pressed(answer) {
      const { refused: code } = answer
      if (code === undefined || code === 'already_answered') await keep(answer)
      if (code !== undefined) refused(new ProtocolError(code))
    },
  }
}
