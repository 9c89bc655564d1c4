/** Who is signed in, and which view is shown. */
import { signal } from '@preact/signals'
import * as z from 'zod/mini'
import { ask, isSignedOut, nothing } from './api.ts'

const Session = z.object({
  id: z.string(),
  method: z.enum(['token', 'passkey']),
  passkey: z.string(),
  address: z.string(),
  createdAt: z.string(),
  usedAt: z.string(),
  expiresAt: z.string(),
})
export type Session = z.output<typeof Session>
export const Sessions = z.object({ sessions: z.array(Session) })
export const SignedIn = z.object({
  session: z.nullable(Session),
  passkeys: z.object({ unavailable: z.nullable(z.string()), isRegistered: z.boolean() }),
})

/** Undefined until the server has said it. */
export const signedIn = signal<z.output<typeof SignedIn> | undefined>(undefined)

export const loadSession = async (): Promise<void> => {
  signedIn.value = await ask(SignedIn, ['GET', '/console/session'], { isBackground: true })
  isSignedOut.value = false
}

export const signOut = async (): Promise<void> => {
  await ask(nothing, ['DELETE', '/console/session'], {})
  await loadSession()
}

/** `#/apps/app.example` → `['apps', 'app.example']`. */
const placeOf = (hash: string): string[] =>
  hash
    .replace(/^#\/?/, '')
    .split('/')
    .map((part) => {
      try {
        return decodeURIComponent(part)
      } catch {
        return part
      }
    })

export const place = signal<string[]>(placeOf(location.hash))

export const watchPlace = (): void => {
  addEventListener('hashchange', () => {
    place.value = placeOf(location.hash)
    scrollTo(0, 0)
  })
}

export const go = (...parts: readonly string[]): void => {
  location.hash = linkTo(...parts)
}

export const linkTo = (...parts: readonly string[]): string => `#/${parts.map(encodeURIComponent).join('/')}`
