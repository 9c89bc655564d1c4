/** Processes that look at stores one after the other, and may end while they do. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Report } from './report.ts'

const READ_TIMEOUT_MS = 60_000

const startReader = (now: number) => {
  const args = ['--import', 'tsx', '--conditions=source', 'test/storage/flips/reader.ts', `${now}`]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, lines }
}

export interface Readers extends Disposable {
  /** What the store of this directory answers; or how it ended its process. */
  lookAt(dir: string): Promise<Report | 'crashed' | 'hung'>
}

export const createReaders = (now: number): Readers => {
  let reader = startReader(now)
  return {
    async lookAt(dir) {
      const { child, lines } = reader
      child.stdin.write(`${dir}\n`)
      let isHung = false
      const timer = setTimeout(() => {
        isHung = true
        child.kill('SIGKILL')
      }, READ_TIMEOUT_MS)
      const { value, done } = await lines.next()
      clearTimeout(timer)
      if (!done) return JSON.parse(value) as Report
      reader = startReader(now)
      return isHung ? 'hung' : 'crashed'
    },
    [Symbol.dispose]: () => void reader.child.kill(),
  }
}
