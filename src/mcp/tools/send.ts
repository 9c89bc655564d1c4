/** Tools of a dapp that sends: to accounts, and to all. */
import * as z from 'zod'
import { type Clock, pause } from '../../platform/runtime/clock.ts'
import type { BroadcastProgress, Dapp, OutgoingNotification } from '../../sdk/dapp.ts'
import { account, content, notificationId, wait } from './shapes.ts'
import { defineTool, SENDS, type Tool, type ToolContext } from './tool.ts'

const POLL_EVERY_MS = 1_000

const id = notificationId
  .optional()
  .describe('An id of your own: the same one again sends nothing twice. Default: a new one')

const outgoing = ({
  type,
  title,
  body,
  url,
  priority,
}: z.output<z.ZodObject<typeof content>>): OutgoingNotification => ({
  ...{ type, title, body },
  ...(url !== undefined && { url }),
  ...(priority !== undefined && { priority }),
})

const createNotify = (dapp: Pick<Dapp, 'notify'>): Tool =>
  defineTool({
    name: 'notify',
    title: 'Send a notification',
    description:
      'Sends a notification to accounts that are subscribed to the app, encrypted for each of them. Answers which of them get it.',
    annotations: SENDS,
    input: z.strictObject({ ...content, accounts: z.array(account).min(1).max(500), id }),
    output: z.object({
      id: z.string(),
      sent: z.array(z.string()),
      failed: z.array(z.object({ account: z.string(), reason: z.string() })),
      not_subscribed: z.array(z.string()),
    }),
    async run({ accounts, id: chosen = globalThis.crypto.randomUUID(), ...said }) {
      const { sent, failed, notFound } = await dapp.notify(outgoing(said), accounts, { id: chosen })
      return { id: chosen, sent, failed, not_subscribed: notFound }
    },
  })

const progressOutput = z.object({
  id: z.string(),
  status: z.enum(['scheduled', 'running', 'done', 'cancelled', 'expired']),
  total: z.number().nullable().describe('Subscribers when it began'),
  handed: z.number(),
  skipped: z.number().describe('Subscribers that do not want the type'),
  counts: z.record(z.string(), z.number()),
})

/** Follows a broadcast until it is handed over, the time is over, or the call is cancelled. */
const createFollow =
  ({ dapp, clock }: { dapp: Pick<Dapp, 'broadcastProgress'>; clock: Clock }) =>
  async (
    broadcastId: string,
    waitMs: number,
    { signal, progress }: ToolContext,
  ): Promise<BroadcastProgress> => {
    const begin = clock.now()
    for (;;) {
      const now = await dapp.broadcastProgress(broadcastId)
      const isUnderWay = now.status === 'running' || now.status === 'scheduled'
      const elapsed = clock.now() - begin
      if (!isUnderWay || elapsed >= waitMs || signal.aborted) return now
      const of = now.total === null ? '' : ` of ${now.total}`
      await progress(elapsed / 1_000, waitMs / 1_000, `handed over to ${now.handed}${of} subscribers`)
      await pause(clock, Math.min(POLL_EVERY_MS, waitMs - elapsed), signal)
    }
  }

const createBroadcasts = (deps: {
  dapp: Pick<Dapp, 'broadcast' | 'broadcastProgress'>
  clock: Clock
}): { sends: Tool; reads: Tool } => {
  const follow = createFollow(deps)
  const sends = defineTool({
    name: 'broadcast',
    title: 'Send to all subscribers',
    description:
      'Sends a notification to every subscriber that wants its type, and waits until it is handed over. It goes on if the wait is over before; see broadcast_progress.',
    annotations: SENDS,
    input: z.strictObject({ ...content, id, wait_seconds: wait }),
    output: progressOutput,
    async run({ id: chosen = globalThis.crypto.randomUUID(), wait_seconds: seconds, ...said }, context) {
      const begun = await deps.dapp.broadcast(outgoing(said), { id: chosen })
      return follow(begun.id, seconds * 1_000, context)
    },
  })
  const reads = defineTool({
    name: 'broadcast_progress',
    title: 'How far a broadcast is',
    description: 'Tells how far a broadcast is. With wait_seconds it waits until it is handed over.',
    annotations: { ...SENDS, readOnlyHint: true, openWorldHint: false },
    input: z.strictObject({ id: notificationId, wait_seconds: wait.default(0) }),
    output: progressOutput,
    run: ({ id: chosen, wait_seconds: seconds }, context) => follow(chosen, seconds * 1_000, context),
  })
  return { sends, reads }
}

export const createSendTools = (deps: { dapp: Dapp; clock: Clock }): { sends: Tool[]; reads: Tool[] } => {
  const broadcasts = createBroadcasts(deps)
  return { sends: [createNotify(deps.dapp), broadcasts.sends], reads: [broadcasts.reads] }
}
