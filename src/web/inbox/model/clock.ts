/** Whether the clock of this device is right: nothing that it signs is accepted otherwise, whether it is connected or not. */
import { type ReadonlySignal, signal } from '@preact/signals'

/** What the relay allows for, the strictest of those that look at the time. */
const MAX_DIFFERENCE_MS = 120_000
const LOOK_AGAIN_AFTER_MS = 30_000

/** Differs from the server's. Looked at until it is known to be right. */
export const createIsClockWrong = (failed: (error: unknown) => void): ReadonlySignal<boolean> => {
  const isWrong = signal(false)
  const look = async (): Promise<void> => {
    const { headers } = await fetch('/health', { cache: 'no-store' })
    const serverTime = Date.parse(headers.get('date') ?? '')
    isWrong.value = Math.abs(serverTime - Date.now()) > MAX_DIFFERENCE_MS
  }
  /** Until it is known to be right. */
  const follow = async (): Promise<void> => {
    const isRight = await look().then(() => !isWrong.value, failed)
    if (!isRight) setTimeout(follow, LOOK_AGAIN_AFTER_MS)
  }
  void follow()
  return isWrong
}
