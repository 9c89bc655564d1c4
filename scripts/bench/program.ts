/**
 * A part of the benchmark in a process of its own, which answers calls: references and load share no core, no heap and no
 * garbage collector with what they are compared with.
 */
import { fork } from 'node:child_process'
import * as z from 'zod'
import { cpuOf } from './process-figures.ts'

export interface Program extends AsyncDisposable {
  /** What the function of that name answers. */
  call<T>(name: string, argument: unknown, answer: z.ZodType<T>): Promise<T>
  /** How long it has computed since it started, in seconds. */
  cpu(): Promise<number>
}

const callSchema = z.object({ id: z.number(), name: z.string(), argument: z.unknown() })
const answerSchema = z.object({ id: z.number(), value: z.unknown().optional(), error: z.string().optional() })

/** `file` calls `answerCalls`. It is run as this process is. */
export const startProgram = (file: URL): Program => {
  const child = fork(file)
  const waiting = new Map<number, { take: (value: unknown) => void; fail: (error: Error) => void }>()
  let lastId = 0
  child.on('message', (message) => {
    const { id, value, error } = answerSchema.parse(message)
    const waiter = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) waiter?.take(value)
    else waiter?.fail(new Error(error))
  })
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      for (const { fail } of waiting.values()) fail(new Error(`${file.pathname} has ended`))
      resolve()
    })
  })
  return {
    async call(name, argument, answer) {
      const value = await new Promise((take, fail) => {
        const id = ++lastId
        waiting.set(id, { take, fail })
        child.send({ id, name, argument })
      })
      return answer.parse(value)
    },
    cpu: () => cpuOf(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
    },
  }
}

/** In the process that was started: it answers by these functions, and ends with the one that started it. */
export const answerCalls = (functions: Record<string, (argument: unknown) => unknown>): void => {
  const answer = async (message: unknown) => {
    const { id, name, argument } = callSchema.parse(message)
    try {
      process.send?.({ id, value: await functions[name]?.(argument) })
    } catch (error) {
      process.send?.({ id, error: error instanceof Error ? error.stack : String(error) })
    }
  }
  process.on('message', (message) => void answer(message))
  process.on('disconnect', () => process.exit())
}
