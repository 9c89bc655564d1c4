/** The whole page: the first visit, or the inbox of whoever is here. */
import { useSignalEffect } from '@preact/signals'
import { useLayoutEffect } from 'preact/hooks'
import type { PageModel } from '../model/page.ts'
import { OpenedContext, PageContext } from './context.ts'
import { Elsewhere } from './elsewhere.tsx'
import { Problem } from './problem.tsx'
import { Shell } from './shell.tsx'
import { Welcome } from './welcome.tsx'

/** What the address handed over is used once. */
const useHanded = ({ router, opened, useKey, problem, texts, tell }: PageModel): void => {
  useSignalEffect(() => {
    const { key, sessionLink } = router.handed.value
    const here = opened.value
    if (key !== undefined) {
      router.taken()
      if (here) problem.value = texts.t('error.hasAccount')
      else
        useKey(key).then((isKey) => {
          if (!isKey) problem.value = texts.t('welcome.wrongKey')
        }, tell)
    }
    if (sessionLink !== undefined && here) {
      router.taken()
      here.sessions.open(sessionLink).catch(tell)
    }
  })
}

export const App = ({ page }: { page: PageModel }) => {
  useHanded(page)
  const language = page.language.value
  // With the texts themselves: nobody is to read the new ones as the former language.
  useLayoutEffect(() => {
    document.documentElement.lang = language
  }, [language])
  const opened = page.opened.value
  return (
    <PageContext.Provider value={page}>
      {page.isElsewhere.value ? (
        <Elsewhere />
      ) : opened ? (
        <OpenedContext.Provider value={opened}>
          <Shell />
        </OpenedContext.Provider>
      ) : (
        <Welcome />
      )}
      <Problem />
    </PageContext.Provider>
  )
}
