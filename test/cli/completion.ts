/** Shells with the completion of the command line as it was built. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { runBelfry } from './belfry.ts'

const run = promisify(execFile)

/** What one shell offers behind a line that is typed up to its last word. */
export type Offers = (line: string) => Promise<string[]>

export const scriptFor = async (shell: string): Promise<string> => {
  const { code, stdout, stderr } = await runBelfry(['completion', shell], { cwd: process.cwd(), env: {} })
  if (code !== 0) throw new Error(stderr)
  return stdout
}

const linesOf = (text: string): string[] => text.split(/\r?\n/).filter((line) => line !== '')

/** Runs the shell's own code on what is typed. */
export const shellOffers =
  (
    program: string,
    args: readonly string[],
    { cwd, input }: { cwd: string; input(line: string): string },
  ): Offers =>
  async (line) => {
    const { stdout } = await run(program, [...args, input(line)], {
      cwd,
      env: { PATH: process.env.PATH, HOME: cwd },
    })
    return linesOf(stdout)
  }
