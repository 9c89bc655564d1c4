/** Pushes of a closed inbox: handed to the service worker, and pressed as a person does. */
import type { BrowserContext, CDPSession, Worker } from 'playwright-core'
import { expect } from 'vitest'
import * as z from 'zod'
import { eventually } from '../../support/eventually.ts'

const registrations = z.object({
  registrations: z.array(z.object({ registrationId: z.string(), scopeURL: z.string() })),
})

/** Hands the worker what the push service carried, as the browser decrypts it. */
export const deliver = async (context: BrowserContext, origin: string, data: string): Promise<void> => {
  const page = await context.newPage()
  const session: CDPSession = await context.newCDPSession(page)
  const registered = new Promise<string>((resolve) => {
    session.on('ServiceWorker.workerRegistrationUpdated', (event) => {
      const own = registrations.parse(event).registrations.find(({ scopeURL }) => scopeURL.startsWith(origin))
      if (own) resolve(own.registrationId)
    })
  })
  await session.send('ServiceWorker.enable')
  const registrationId = await registered
  await session.send('ServiceWorker.deliverPushMessage', { origin, registrationId, data })
  await page.close()
}

/** Presses the notification with this title, or its action with this id. Only a person's press may open windows, so where it leads is noted. */
const press = async (worker: Worker, title: string, action = ''): Promise<string> => {
  const led = await worker.evaluate(
    async ([wanted, pressedAction]) => {
      const { registration, Clients } = globalThis as unknown as {
        registration: ServiceWorkerRegistration
        Clients: { prototype: { openWindow: (url: string) => Promise<void> } }
      }
      let address = ''
      Clients.prototype.openWindow = async (url) => {
        address = url
      }
      const shown = await registration.getNotifications()
      const notification = shown.find((one) => one.title === wanted)
      if (!notification) return undefined
      const pressed: Event = Reflect.construct(Reflect.get(globalThis, 'NotificationEvent'), [
        'notificationclick',
        { notification, action: pressedAction },
      ])
      dispatchEvent(pressed)
      // The notification is gone by now, so nobody can press it again: however long it takes.
      while (address === '') await new Promise((resolve) => setTimeout(resolve, 20))
      return address
    },
    [title, action] as const,
  )
  if (led === undefined) throw new Error('The notification is not shown')
  return led
}

/** How many notifications the worker has shown since this was asked first. */
const shows = (worker: Worker): Promise<number> =>
  worker.evaluate(() => {
    const counted = globalThis as unknown as { shows?: number }
    if (counted.shows === undefined) {
      counted.shows = 0
      const { prototype } = ServiceWorkerRegistration
      const show = prototype.showNotification
      prototype.showNotification = async function (...given) {
        await show.apply(this, given)
        counted.shows = (counted.shows ?? 0) + 1
      }
    }
    return counted.shows
  })

/**
 * Hands the worker these pushes, and presses the notification. Without a window Chromium may take one back as soon as it is
 * shown: then it is pushed again. One push after the other, so that none comes behind the press.
 */
export const deliverAndPress = (
  context: BrowserContext,
  worker: Worker,
  wanted: { origin: string; pushes: () => readonly { text: string }[]; title: string; action?: string },
): Promise<string> =>
  eventually(async () => {
    for (const { text } of wanted.pushes()) {
      const before = await shows(worker)
      await deliver(context, wanted.origin, text)
      await eventually(async () => expect(await shows(worker)).toBeGreaterThan(before))
    }
    return press(worker, wanted.title, wanted.action)
  })
