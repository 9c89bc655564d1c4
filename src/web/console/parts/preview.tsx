/** A notification as the inbox has it. Pictures of other hosts are not loaded here: the page's policy refuses them. */
import type { App, Extras } from '../core/shapes.ts'
import { T } from '../core/texts.ts'
import { ShownExtras } from './extras.tsx'
import { Card } from './table.tsx'

export interface Texts {
  title: string
  body: string
  icon: string
  url: string
}

const isPicture = (url: string): boolean => url.startsWith('data:image/')

export const Preview = ({ texts, extras, app }: { texts: Texts; extras: Extras; app: App | undefined }) => {
  const name = app?.name || app?.domain || ''
  return (
    <Card title={T.send.preview}>
      <article class="preview">
        <span class="picture" aria-hidden="true">
          {isPicture(texts.icon) ? <img src={texts.icon} alt="" /> : name.slice(0, 1).toUpperCase()}
        </span>
        <div>
          <p class="quiet">
            {name} · {T.send.now}
          </p>
          <h3>{texts.title || T.send.previewTitle}</h3>
          <p>{texts.body || T.send.previewBody}</p>
          {texts.url && <p class="link">{texts.url}</p>}
          <ShownExtras extras={extras} />
        </div>
      </article>
    </Card>
  )
}
