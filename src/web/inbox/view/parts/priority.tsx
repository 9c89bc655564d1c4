import type { Message } from '../../model/database.ts'
import { usePage } from '../context.ts'
import { Icon } from './icon.tsx'

/** What its sender says of how much it matters, where that is more than usual. */
export const Priority = ({ message: { priority } }: { message: Message }) => {
  const { t } = usePage().texts
  if (priority !== 'high' && priority !== 'urgent') return null
  return (
    <span class={`priority is-${priority}`}>
      <Icon name={priority} />
      {t(`priority.${priority}`)}
    </span>
  )
}
