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
  ...(push && push.pushed + push.refused > 0 ? ([['pushed', push.pushed]] as [Step, number][]) : []),
  ['delivered', delivered + read],
  ['read', read],
  ['failed', failed],
  ...(push && push.refused > 0 ? ([['refused', push.refused]] as [Step, number][]) : []),
]

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
