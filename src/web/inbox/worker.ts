/** The inbox's service worker: opens pushes while no page of the inbox is open, and keeps the inbox for when there is no network. */
import { startPushWorker } from '../../sdk/push-worker.ts'
import { languageFor } from '../shared/messages/language.ts'
import { addressOf } from './model/address.ts'
import { FALLBACKS } from './texts/worker.ts'
import { type Shell, serveShell } from './worker/shell.ts'

/** The build puts it in place (`scripts/build-pages.mjs`). */
declare const SHELL: Shell

startPushWorker(globalThis, {
  // Of the browser: what was chosen on the page is not known here.
  fallback: FALLBACKS[languageFor(navigator.languages, ['en', 'de'])],
  urlOf: ({ domain, id }) => `/${addressOf({ at: 'messages', message: { domain, id } })}`,
})
serveShell(globalThis, SHELL)
