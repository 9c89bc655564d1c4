/** What the demo prints: numbered steps, and under each of them lines with the time that they took. */
import { systemClock } from '../../platform/runtime/clock.ts'

/** A step that did not happen; the message is a sentence for the reader of the page. */
export class DemoFailure extends Error {
  override readonly name = 'DemoFailure'
}

export const holds = (condition: boolean, sentence: string): void => {
  if (!condition) throw new DemoFailure(`${sentence} is not so.`)
}

export interface Page {
  line(text: string): void
  step(title: string): void
  /** Prints what has happened. Throws once the demo is interrupted, so that nothing goes on after that. */
  said(line: string): void
  /** Since the page was begun, ms. */
  elapsed(): number
}

export const createPage = (print: (line: string) => void, signal: AbortSignal): Page => {
  const startedAt = systemClock.now()
  let number = 0
  let stepAt = startedAt
  return {
    line: print,
    step(title) {
      number++
      print('')
      print(`${String(number).padStart(2)}  ${title}`)
    },
    said(line) {
      signal.throwIfAborted()
      const now = systemClock.now()
      print(`    ${line.padEnd(96)} ${String(now - stepAt).padStart(5)} ms`)
      stepAt = now
    },
    elapsed: () => systemClock.now() - startedAt,
  }
}

export const short = (text: string): string =>
  text.length > 24 ? `${text.slice(0, 12)}…${text.slice(-6)}` : text
