/** The service worker of the inbox: registered when the page is shown, so that it does not wait for it. */
import type { Signal } from '@preact/signals'

/** Told to a worker that waits: there is a reader who wants it now. */
export const TAKE_OVER = 'belfry-take-over'

/** Sets `update` to what loads the new version, when one is there. */
export const registerWorker = async ({
  update,
}: {
  update: Signal<(() => void) | undefined>
}): Promise<void> => {
  if (!('serviceWorker' in navigator)) return
  const registration = await navigator.serviceWorker.register('/worker.js')
  const offer = (worker: ServiceWorker): void => {
    update.value = () => {
      navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true })
      worker.postMessage(TAKE_OVER)
    }
  }
  const isUpdate = (): boolean => navigator.serviceWorker.controller !== null
  if (registration.waiting && isUpdate()) offer(registration.waiting)
  registration.addEventListener('updatefound', () => {
    const { installing } = registration
    installing?.addEventListener('statechange', () => {
      if (installing.state === 'installed' && isUpdate()) offer(installing)
    })
  })
}
