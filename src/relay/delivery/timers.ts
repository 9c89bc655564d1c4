import type { Clock } from '../../platform/runtime/clock.ts'

/** Timers that end together. */
export class Timers implements Disposable {
  readonly #clock: Clock
  readonly #timers = new Set<Disposable>()
  #isOver = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  after(delayMs: number, task: () => void): void {
    if (this.#isOver) return
    const timer = this.#clock.after(delayMs, () => {
      this.#timers.delete(timer)
      task()
    })
    this.#timers.add(timer)
  }

  [Symbol.dispose](): void {
    this.#isOver = true
    for (const timer of this.#timers) timer[Symbol.dispose]()
    this.#timers.clear()
  }
}
