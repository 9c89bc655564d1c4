/**
 * The service worker's entry point: `belfry/push-worker`. It opens pushes, shows them and follows clicks.
 *
 *     import { startPushWorker } from 'belfry/push-worker'
 *     startPushWorker(self)
 */

export { type PushWorkerOptions, READ_MESSAGE, startPushWorker } from '../push/worker/index.ts'
export type { ShownNotification } from '../push/worker/notification.ts'
