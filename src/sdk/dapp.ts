/**
 * The dapp entry point: `belfry/dapp`. For servers: the project secret must not reach a browser.
 *
 *     const dapp = createDapp({ url: 'https://notify.example.com', projectId, secret })
 *     await dapp.enrol('app.example.com')
 *     await dapp.notify({ type, title: 'Hello', body: 'There is news' }, ['eip155:1:0x…'])
 */
import '../platform/runtime/dispose-symbols.ts'
import {
  createDapp as createDappWith,
  type Dapp,
  type DappDeps,
  type DappOptions,
} from '../notify/client/dapp.ts'
import { systemClock } from '../platform/runtime/clock.ts'

export type {
  AppDescription,
  BroadcastProgress,
  Dapp,
  DappOptions,
  DappWebhooks,
  DeadLetter,
  OutgoingNotification,
  ProjectSettings,
  Receipt,
  RetryOptions,
  SendOptions,
  Sent,
  SentNotification,
  Subscriber,
  Webhook,
  WelcomeNotification,
} from '../notify/client/dapp.ts'
export {
  type VerifyWebhookOptions,
  verifyWebhook,
  type WebhookCall,
  type WebhookEvent,
} from '../notify/client/verify-webhook.ts'
export { type ErrorCode, ProtocolError } from '../protocol/errors.ts'
export type { Extras, NotificationAction, Priority } from '../protocol/notify/extras.ts'

/**
 * A dapp's end of the notify server: declares apps, sends, and asks what became of it. Nothing is sent before the first call.
 *
 * @param options where the server is, and the project's id and secret
 * @param deps `clock`, `fetch` and `random`; default: those of the platform
 * @returns the client; its calls throw `ProtocolError` with the server's code
 * @example
 * const dapp = createDapp({ url: 'https://notify.example.com', projectId, secret })
 * await dapp.notify({ type, title: 'Hello', body: 'There is news' }, ['eip155:1:0x…'])
 */
export const createDapp = (options: DappOptions, deps: Partial<DappDeps> = {}): Dapp => {
  const { clock = systemClock, fetch = globalThis.fetch.bind(globalThis) } = deps
  return createDappWith({ ...deps, clock, fetch }, options)
}
