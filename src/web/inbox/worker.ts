/** The inbox's service worker: opens pushes while no page of the inbox is open. */
import { startPushWorker } from '../../sdk/push-worker.ts'

startPushWorker(globalThis)
