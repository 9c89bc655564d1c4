/** The notification that is being written. It outlives a session that ends meanwhile, and nothing else. */
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { Texts } from '../parts/preview.tsx'
import { isSignedOut } from './api.ts'
import { NO_EXTRAS } from './extras-draft.ts'

const NO_TEXTS: Texts = { title: '', body: '', icon: '', url: '' }

const texts = signal(NO_TEXTS)
const extras = signal(NO_EXTRAS)

export const useDraft = () => {
  useEffect(
    () => () => {
      if (isSignedOut.value) return
      texts.value = NO_TEXTS
      extras.value = NO_EXTRAS
    },
    [],
  )
  return { texts, extras }
}
