/** The inbox's service worker: opens pushes while no page of the inbox is open, and keeps the inbox for when there is no network. */
import { startPushWorker } from '../../sdk/push-worker.ts'
import { addressOf } from './model/address.ts'
import { type Shell, serveShell } from './worker/shell.ts'

/** The build puts it in place (`scripts/build-pages.mjs`). */
declare const SHELL: Shell

startPushWorker(globalThis, {
  urlOf: ({ domain, id }) => `/${addressOf({ at: 'messages', message: { domain, id } })}`,
})
serveShell(globalThis, SHELL)
