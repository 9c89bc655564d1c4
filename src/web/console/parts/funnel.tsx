/** How far a notification has come: of its accounts, how many have reached each state. */
import { count } from '../core/format.ts'
import type { Counts } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { Bar } from './table.tsx'

type Step = keyof typeof T.notifications.states

/** A state includes those behind it: who has read it has had it delivered. */
const stepsOf = (
  { queued, published, delivered, read, failed }: Counts,
  push: { pushed: number; refused: number } | undefined,
): [Step, number][] => [
  ['queued', queued + published + delivered + read + failed],
  ['published', published + delivered + read],
  ...(push ? ([['pushed', push.pushed]] satisfies [Step, number][]) : []),
  ['delivered', delivered + read],
  ['read', read],
  ['failed', failed],
  ...(push && push.refused > 0 ? ([['refused', push.refused]] satisfies [Step, number][]) : []),
]

/** `push` is absent where it is not counted. */
export const Funnel = ({ counts, push }: { counts: Counts; push?: { pushed: number; refused: number } }) => {
  const steps = stepsOf(counts, push)
  const most = Math.max(1, ...steps.map(([, value]) => value))
  return (
    <ol class="funnel">
      {steps.map(([step, value]) => (
        <li key={step} class={step} data-step={step} data-count={value}>
          <span>{T.notifications.states[step]}</span>
          <Bar part={value / most} label={`${T.notifications.states[step]}: ${count(value)}`} />
          <strong>{count(value)}</strong>
        </li>
      ))}
    </ol>
  )
}

/** How many accounts answered with each action, `of` so many. */
export const Answers = ({
  answers,
  of,
  titles,
}: {
  answers: Readonly<Record<string, number>>
  of: number
  titles: ReadonlyMap<string, string>
}) => (
  <>
    <h3>{T.notifications.answers}</h3>
    <ol class="funnel">
      {Object.entries(answers).map(([id, value]) => (
        <li key={id} data-answer={id} data-count={value}>
          <span>
            {titles.get(id) ?? id} <code class="quiet">{id}</code>
          </span>
          <Bar part={value / Math.max(1, of)} label={`${titles.get(id) ?? id}: ${count(value)}`} />
          <strong>{count(value)}</strong>
        </li>
      ))}
    </ol>
  </>
)
