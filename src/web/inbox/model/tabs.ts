/**
 * One page of a browser at a time is the device: two would take each other's answers from the relay. The page that was opened last
 * is it, as after a click on a notification.
 */
const LOCK = 'belfry-inbox'

/** Resolves when this page is the device. `lost` is called when another page is it. */
export const becomeDevice = (lost: () => void): Promise<void> =>
  new Promise((resolve) => {
    const hold = (): Promise<never> => {
      resolve()
      return new Promise(() => {})
    }
    // Held until the page is closed, or another one takes it.
    navigator.locks.request(LOCK, { steal: true }, hold).catch(lost)
  })
