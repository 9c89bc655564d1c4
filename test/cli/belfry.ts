import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { World } from '../support/world.ts'

interface Said {
  code: number | null
  stdout: string
  stderr: string
}

/** Runs the command line as it was built, to its end; it gets no other environment. `timeout`: ms until it is ended. */
export const runBelfry = (
  words: readonly string[],
  { cwd, env, timeout }: { cwd: string; env: NodeJS.ProcessEnv; timeout?: number },
): Promise<Said> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, [join(process.cwd(), 'dist/cli/main.js'), ...words], {
      cwd,
      env: { PATH: process.env.PATH, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
    })
    const said = { stdout: '', stderr: '' }
    child.stdout.on('data', (text) => {
      said.stdout += text
    })
    child.stderr.on('data', (text) => {
      said.stderr += text
    })
    child.on('close', (code) => resolve({ code, ...said }))
  })

/** The command line on the data directory of a world; `cwd` is where it is typed. */
export const commandLineOf = (world: World, cwd = process.cwd()) => {
  const belfry = (words: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    runBelfry(words, { cwd, env: { BELFRY_DATA: world.dataDir, ...env } })
  return {
    belfry,
    /** Runs a command with --json, which must print one JSON value and nothing else. */
    async json(...words: string[]) {
      const { code, stdout, stderr } = await belfry([...words, '--json'])
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      return JSON.parse(stdout)
    },
  }
}
