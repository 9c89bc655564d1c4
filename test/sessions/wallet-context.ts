import {
  type ApprovalAnswer,
  type ApprovalRequest,
  type MethodContext,
  SessionError,
} from '../../src/sessions/wallet/method.ts'

export type Shown = Pick<ApprovalRequest, 'details' | 'choices'>

/** What a dispatcher gives a handler, with a person who answers as told; `asked` is what they were shown. */
export const contextWith = (
  answer: (shown: Shown) => ApprovalAnswer | Promise<ApprovalAnswer> = () => true,
  now: () => number = Date.now,
): { context: MethodContext; asked: Shown[] } => {
  const asked: Shown[] = []
  return {
    asked,
    context: {
      now,
      async approve(shown = {}) {
        asked.push(shown)
        const said = await answer(shown)
        if (said === false) throw new SessionError('rejected')
        const ids = shown.choices?.map(({ id }) => id) ?? []
        const chosen = said === true ? ids[0] : said.choice
        if (chosen !== undefined && !ids.includes(chosen)) throw new SessionError('rejected')
        return chosen
      },
    },
  }
}
