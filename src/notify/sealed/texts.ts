/**
 * The texts of dapps (title, body, icon, url), sealed as one text before a store sees them. The sealed text stands in
 * `body`, so stores keep the same four members.
 */
import * as z from 'zod'
import type { ContentSeal, Place } from '../../platform/runtime/content-seal.ts'

export interface Texts {
  title: string
  body: string
  icon: string | null
  url: string | null
}

export interface TextSeal {
  seal(place: Place, texts: Texts): Texts
  /** Throws for a text that was sealed for another place. A text that is not sealed is returned as it is. */
  open(place: Place, kept: Texts): Texts
}

const Content = z.tuple([z.string(), z.string(), z.string().nullable(), z.string().nullable()])

export const createTextSeal = (content: ContentSeal): TextSeal => ({
  seal(place, { title, body, icon, url }) {
    const text = JSON.stringify([title, body, icon, url])
    return { title: '', body: content.seal(place, text), icon: null, url: null }
  },
  open(place, kept) {
    const text = content.open(place, kept.body)
    if (text === kept.body) return kept
    const [title, body, icon, url] = Content.parse(JSON.parse(text))
    return { title, body, icon, url }
  },
})
