/** Removes archived messages that have expired, topic by topic, as the index of what is due says. */
import { behind, number } from '../../storage/bytes.ts'
import { type Row, read, transact } from '../../storage/table.ts'
import { DUE_DELAY_MS, enterDue, type MessageDeps, PIECE } from './keep.ts'
import {
  ALL_DUE,
  type ArchivedHead,
  dueFrom,
  dueIn,
  putState,
  removal,
  setsOf,
  type TopicSets,
} from './rows.ts'

const TOPICS_AT_ONCE = 50

/** What a step through a topic has found; undefined at its end. */
type Step = { last: Buffer; livesUntil: number } | undefined

const endOf = (rows: readonly Row<ArchivedHead>[]): number =>
  Math.min(...rows.map(({ value }) => value.expiresAt))

/**
 * One step: removes what has expired of the messages behind `from`. When there are none, the topic is entered again.
 * `livesUntil`: when the first one of those before ends.
 */
const step = (
  deps: MessageDeps,
  { sets, dueAt }: { sets: TopicSets; dueAt: number },
  { from, livesUntil, now }: { from: Buffer | undefined; livesUntil: number; now: number },
): Promise<Step> =>
  transact<Step>(deps.kv, now, async () => {
    const [{ value: state, isUnchanged }, rows] = await read(deps.kv, [
      sets.state.get(),
      sets.messages.range({ ...(from && { from }), limit: PIECE.messages }),
    ])
    // It is due at another instant by now, or has nothing.
    if (state?.dueAt !== dueAt) return { answer: undefined }
    const last = rows.at(-1)
    if (!last) {
      const next = Math.max(livesUntil, now + DUE_DELAY_MS)
      await enterDue(deps, sets.topic, next, { now, isRelief: true })
      const writes = [putState(sets, { ...state, dueAt: next })]
      return {
        answer: undefined,
        batch: { partition: sets.topic, checks: [isUnchanged], writes, isRelief: true },
      }
    }
    const over = rows.filter(({ value }) => value.expiresAt <= now)
    const living = rows.filter(({ value }) => value.expiresAt > now)
    const answer = { last: last.key, livesUntil: Math.min(livesUntil, endOf(living)) }
    return over.length === 0 ? { answer } : { answer, batch: removal(sets, { state, isUnchanged }, over) }
  })

const sweepTopic = async (deps: MessageDeps, entry: Buffer, now: number): Promise<void> => {
  const { topic, dueAt } = dueFrom(entry)
  const sets = setsOf(topic)
  let from: Buffer | undefined
  let livesUntil = Number.POSITIVE_INFINITY
  for (;;) {
    const found = await deps.inTurn(topic, () => step(deps, { sets, dueAt }, { from, livesUntil, now }))
    if (!found) break
    from = behind(found.last)
    livesUntil = found.livesUntil
  }
  const set = dueIn(topic)
  await deps.kv.commit([{ partition: set.name.partition, writes: [set.remove(entry)] }], now)
}

/** Answers into how many topics it has looked, at most `limit`. One that cannot be read holds up no other one. */
export const sweepMessages = async (deps: MessageDeps, now: number, limit: number): Promise<number> => {
  const found = await read(
    deps.kv,
    ALL_DUE.map((set) => set.keys({ to: number(now + 1), limit })),
  )
  const over = found.flat().slice(0, limit)
  const outcomes: PromiseSettledResult<void>[] = []
  for (let at = 0; at < over.length; at += TOPICS_AT_ONCE) {
    const some = over.slice(at, at + TOPICS_AT_ONCE)
    outcomes.push(...(await Promise.allSettled(some.map((entry) => sweepTopic(deps, entry, now)))))
  }
  const failure = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failure) throw failure.reason
  return over.length
}
