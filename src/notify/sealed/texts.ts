/**
 * The texts of dapps (title, body, icon, url, and the extras where there are some), sealed as one text before a store
 * sees them. The sealed text stands in `body`, so stores keep the same four members.
 */
import * as z from 'zod'
import type { ContentSeal, Place } from '../../platform/runtime/content-seal.ts'
import type { Extras } from '../../protocol/notify/extras.ts'
import { storedExtras } from '../../protocol/notify/stored-extras.ts'

export interface Texts {
  title: string
  body: string
  icon: string | null
  url: string | null
  extras?: Extras | undefined
}

/** What a store keeps of them. */
export type SealedTexts = Omit<Texts, 'extras'>

export interface TextSeal {
  seal(place: Place, texts: Texts): SealedTexts
  /** Throws for a text that was sealed for another place. A text that is not sealed is returned as it is. */
  open(place: Place, kept: SealedTexts): Texts
}

const items = [z.string(), z.string(), z.string().nullable(), z.string().nullable()] as const
const Content = z.tuple(items)
const ContentWithExtras = z.tuple([...items, storedExtras])

export const createTextSeal = (content: ContentSeal): TextSeal => ({
  seal(place, { title, body, icon, url, extras }) {
    const text = JSON.stringify(extras ? [title, body, icon, url, extras] : [title, body, icon, url])
    return { title: '', body: content.seal(place, text), icon: null, url: null }
  },
  open(place, kept) {
    const text = content.open(place, kept.body)
    if (text === kept.body) return kept
    const opened: unknown = JSON.parse(text)
    if (Array.isArray(opened) && opened.length > items.length) {
      const [title, body, icon, url, extras] = ContentWithExtras.parse(opened)
      return { title, body, icon, url, extras }
    }
    const [title, body, icon, url] = Content.parse(opened)
    return { title, body, icon, url }
  },
})
