/**
 * Notifications of the browser: from the service worker while the inbox is closed (Web Push), from the page while it is open and
 * nobody looks at it.
 */
import { type ReadonlySignal, signal } from '@preact/signals'
import * as z from 'zod'
import { READ_MESSAGE } from '../../../sdk/push-worker.ts'
import { inLanguage, type PressedAnswer, type PushedWallet } from '../../../sdk/wallet.ts'
import { addressOf } from './address.ts'
import type { Database, Message } from './database.ts'

/** A registration lasts for 180 days. */
const REGISTER_AGAIN_AFTER_MS = 30 * 86_400_000

/** `open`: shown while the inbox is open, because the browser has no push; `unable`: it shows no notifications at all. */
export type NotificationState = 'off' | 'on' | 'open' | 'denied' | 'unable'

export interface Notifications {
  readonly state: ReadonlySignal<NotificationState>
  /** Asks the browser, then the server. Throws what the server answers, or `unavailable`. */
  turnOn(): Promise<void>
  turnOff(): Promise<void>
  /** Has the service worker know the keys of the subscriptions, and learns what was read by a click. */
  sync(): Promise<void>
  /** Shows it, if nobody looks at the page. */
  show(message: Message): Promise<void>
}

interface NotificationsDeps {
  push: PushedWallet['push']
  database: Pick<Database, 'setting' | 'setSetting'>
  now: () => number
  /** The language that messages are shown in. */
  locale: () => string
  /** An answer was pressed in a notification, and the server has answered. */
  pressed: (answer: PressedAnswer) => Promise<void>
  /** A notification was clicked. */
  clicked: (message: Pick<Message, 'domain' | 'id'>) => void
}

const device = z.object({ id: z.string(), registeredAt: z.number() })
const click = z.object({ type: z.literal(READ_MESSAGE), domain: z.string(), id: z.string() })

const workerOf = async (): Promise<ServiceWorkerRegistration | undefined> =>
  'serviceWorker' in navigator ? await navigator.serviceWorker.getRegistration() : undefined

const permission = (): NotificationPermission | 'unable' =>
  'Notification' in globalThis ? Notification.permission : 'unable'

/** As the service worker shows what was pushed, and with the same tag: it is shown once. */
const shownAs = ({ domain, id, title, body, sentAt, actions = [] }: Message) => {
  const url = new URL(addressOf({ at: 'messages', message: { domain, id } }), location.href).href
  const links = actions.flatMap((one) => ('url' in one ? [[one.id, one.url]] : []))
  return {
    ...{ title, body, tag: id },
    data: { id, domain, url, sentAt, links: Object.fromEntries(links) },
    actions: actions.map((one) => ({ action: one.id, title: one.title })),
  }
}

export const createNotifications = async ({
  push,
  database,
  now,
  locale,
  pressed,
  clicked,
}: NotificationsDeps): Promise<Notifications> => {
  const known = async () => device.safeParse(await database.setting('device')).data
  const stateOf = async (): Promise<NotificationState> => {
    const allowed = permission()
    if (allowed === 'unable' || allowed === 'denied') return allowed
    if ((await database.setting('device')) === 'open') return allowed === 'granted' ? 'open' : 'off'
    return allowed === 'granted' && (await known()) ? 'on' : 'off'
  }
  const state = signal<NotificationState>(await stateOf())

  const register = async (): Promise<void> => {
    const worker = await navigator.serviceWorker.ready
    const applicationServerKey = await push.vapidKey()
    const subscription = await worker.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey })
    const id = await push.register(subscription)
    await database.setSetting('device', { id, registeredAt: now() })
  }
  const sync = async (): Promise<void> => {
    await push.sync(pressed)
    const registered = await known()
    const isOld = registered && registered.registeredAt < now() - REGISTER_AGAIN_AFTER_MS
    if (state.value === 'on' && isOld) await register()
  }

  navigator.serviceWorker?.addEventListener('message', ({ data }) => {
    const said = click.safeParse(data)
    if (said.success) clicked(said.data)
  })
  navigator.serviceWorker?.startMessages()

  return {
    ...{ state, sync },
    async turnOn() {
      if (permission() === 'default') await Notification.requestPermission()
      if (permission() === 'granted') {
        const worker = await workerOf()
        // A browser without a push service still shows what comes while the inbox is open.
        if (worker && 'pushManager' in worker) await register()
        else await database.setSetting('device', 'open')
        await sync()
      }
      state.value = await stateOf()
    },
    async turnOff() {
      const registered = await known()
      await database.setSetting('device', null)
      state.value = await stateOf()
      const worker = await workerOf()
      const subscription = await worker?.pushManager?.getSubscription()
      await subscription?.unsubscribe()
      if (registered) await push.unregister(registered.id)
    },
    async show(message) {
      const isWanted = state.value === 'on' || state.value === 'open'
      if (!isWanted || document.visibilityState === 'visible') return
      const worker = await workerOf()
      const { title, ...options } = shownAs(inLanguage(message, locale()))
      await worker?.showNotification(title, options)
    },
  }
}
