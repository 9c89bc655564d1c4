import { createInterface } from 'node:readline/promises'
import { CommandFailure } from './command-failure.ts'

/** For the help of commands that ask. */
export const YES_FLAG = { yes: { type: 'boolean', description: 'Do not ask' } } as const

/** Asks on the terminal; where there is none, the answer must have been given before. */
export const agreed = async (question: string): Promise<boolean> => {
  if (!process.stdin.isTTY) throw new CommandFailure('Say --yes: what is removed does not come back.')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return /^y(es)?$/i.test((await lines.question(`${question} [y/N] `)).trim())
  } finally {
    lines.close()
  }
}
