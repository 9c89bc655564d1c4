/** What all parts of the page are given. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { Opened, PageModel } from '../model/page.ts'

export const PageContext = createContext<PageModel | undefined>(undefined)

export const usePage = (): PageModel => {
  const page = useContext(PageContext)
  if (!page) throw new Error('It is not within the page')
  return page
}

/** Within the part of the page that is there only once somebody is here. */
export const OpenedContext = createContext<Opened | undefined>(undefined)

export const useOpened = (): Opened => {
  const opened = useContext(OpenedContext)
  if (!opened) throw new Error('Nobody is here yet')
  return opened
}
