import type { ComponentChildren } from 'preact'
import { Icon, type IconName } from './icon.tsx'

/** In place of what is not there: why, and what to do next. */
export const Empty = (props: {
  icon: IconName
  title?: string
  text: string
  children?: ComponentChildren
}) => (
  <div class="empty">
    <span class="empty-icon">
      <Icon name={props.icon} />
    </span>
    {props.title !== undefined && <h2 class="empty-title">{props.title}</h2>}
    <p class="empty-text">{props.text}</p>
    {props.children}
  </div>
)
