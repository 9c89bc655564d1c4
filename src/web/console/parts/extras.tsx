/** The extras of a notification as a wallet shows them. Pictures of other hosts are named, not loaded. */
import type { Extras } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { Badge } from './table.tsx'

const hostOf = (url: string): string => (URL.canParse(url) ? new URL(url).host : url)

const ShownTags = ({ extras: { priority, silent, tags = [] } }: { extras: Extras }) => {
  if (priority === undefined && !silent && tags.length === 0) return null
  return (
    <p class="chips">
      {priority && <Badge tone={priority}>{T.send.priorities[priority]}</Badge>}
      {silent && <Badge tone="silent">{T.send.silentShown}</Badge>}
      {tags.map((tag) => (
        <Badge key={tag} tone="tag">
          {tag}
        </Badge>
      ))}
    </p>
  )
}

const ShownRest = ({ extras: { image, actions = [], locales } }: { extras: Extras }) => {
  const languages = Object.keys(locales ?? {}).filter((language) => language !== '')
  return (
    <>
      {image && <p class="outside quiet">{T.send.imageShown(hostOf(image))}</p>}
      {actions.length > 0 && (
        <ul class="chips">
          {actions.map(({ id, title, url }) => (
            <li key={id} class="button" title={url ?? T.send.asks}>
              {title || id}
            </li>
          ))}
        </ul>
      )}
      {languages.length > 0 && <p class="quiet">{T.send.alsoIn(languages.join(', '))}</p>}
    </>
  )
}

export const ShownExtras = ({ extras }: { extras: Extras }) => (
  <>
    <ShownTags extras={extras} />
    <ShownRest extras={extras} />
  </>
)
