/** The attackers, in one process of their own for all attacks. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { z } from 'zod'
import type { Orders } from './attack.ts'

const Tally = z.record(z.string(), z.object({ done: z.number(), refused: z.number() }))
export type AttackTally = z.infer<typeof Tally>

export const startAttackers = () => {
  const child = fork(fileURLToPath(new URL('attacker.ts', import.meta.url)), [], {
    execArgv: ['--import', 'tsx', '--conditions=source'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const ended = once(child, 'exit').then(() => {
    throw new Error('The attackers ended')
  })
  ended.catch(() => {})
  return {
    /** `begun`: when all of it is prepared. `over`: with how often each thing was done. */
    attack(orders: Orders): { begun: Promise<void>; over: Promise<AttackTally> } {
      let begin = () => {}
      const prepared = new Promise<void>((resolve) => {
        begin = resolve
      })
      const answered = new Promise<AttackTally>((resolve, reject) => {
        const listen = (said: unknown) => {
          begin()
          if (said === 'begun') return
          child.off('message', listen)
          const tally = Tally.safeParse(said)
          if (tally.success) resolve(tally.data)
          else reject(new Error(`The attackers failed: ${said}`))
        }
        child.on('message', listen)
      })
      child.send(orders)
      return { begun: Promise.race([prepared, ended]), over: Promise.race([answered, ended]) }
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL')
      await ended.catch(() => {})
    },
  }
}
