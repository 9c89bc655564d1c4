import type { ServerResponse } from 'node:http'

/** What the next requests to a fake provider meet; then `ok` again. */
export type Behaviour =
  | 'ok'
  /** Never answers. */
  | 'hang'
  /** Answers 200 with what is no answer of that provider, or something else that makes no sense. */
  | 'garbage'
  /** Fails, and breaks off in the middle of saying so. */
  | 'die'
  /** `details`: of FCM, beside the reason. */
  | { status: number; reason?: string; retryAfter?: number; details?: object[] }
  /** Answers with the status; its body breaks off, or never ends. */
  | { status: number; body: 'broken' | 'endless' }

/** The head of an answer and half of its body, which certainly arrive; then the end of the connection, or nothing. */
export const answerHalf = (
  response: ServerResponse,
  { status, body }: { status: number; body: 'broken' | 'endless' },
): void => {
  response.writeHead(status, { 'Content-Length': '100' }).write('{"na')
  if (body === 'broken') response.socket?.destroySoon()
}

export interface Behaving {
  /** Of the next requests, in their order. */
  next: Behaviour[]
  /** Of all others. */
  always: Behaviour
  /** By token or endpoint; goes before the others. */
  readonly of: Map<string, Behaviour>
  /** How many requests with this token or endpoint met something else than `ok`. */
  refused(token: string): number
}

export const behaving = (): Behaving & { take(token: string): Behaviour } => {
  const refusals = new Map<string, number>()
  const state: Behaving = {
    ...{ next: [], always: 'ok', of: new Map() },
    refused: (token) => refusals.get(token) ?? 0,
  }
  return Object.assign(state, {
    take(token: string) {
      const how = state.of.get(token) ?? state.next.shift() ?? state.always
      if (how !== 'ok') refusals.set(token, (refusals.get(token) ?? 0) + 1)
      return how
    },
  })
}
