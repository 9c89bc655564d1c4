/** Where the reader is, and what the address hands over. */
import { type ReadonlySignal, signal } from '@preact/signals'
import { addressOf, decoded, type Route, routeOf } from './address.ts'

/** What an address hands over; it is taken out of the address, and of the history, at once. */
export interface Handed {
  key?: string
  sessionLink?: string
}

export interface Router {
  readonly route: ReadonlySignal<Route>
  go(route: Route): void
  /** What the address handed over when the page was opened, or since. */
  readonly handed: ReadonlySignal<Handed>
  taken(): void
}

const handedIn = (hash: string): Handed | undefined => {
  const [, name, value = ''] = /^#(key|session)=(.+)$/s.exec(hash) ?? []
  if (name === 'key') return { key: decoded(value) }
  if (name === 'session') return { sessionLink: decoded(value) }
  return undefined
}

export const createRouter = (window: Window): Router => {
  const route = signal<Route>({ at: 'messages' })
  const handed = signal<Handed>({})
  const read = (): void => {
    const { hash } = window.location
    const found = handedIn(hash)
    if (found) {
      handed.value = found
      window.history.replaceState(null, '', '#/')
    }
    route.value = routeOf(found ? '#/' : hash)
  }
  window.addEventListener('hashchange', read)
  read()
  return {
    route,
    go(next) {
      window.location.hash = addressOf(next)
    },
    handed,
    taken() {
      handed.value = {}
    },
  }
}
