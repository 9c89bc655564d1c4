import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { expect } from 'vitest'
import type { World } from '../support/world.ts'

/** The command line as it was built, on the data directory of a world; `cwd` is where it is typed. */
export const commandLineOf = (world: World, cwd = process.cwd()) => {
  const belfry = (words: readonly string[], env: NodeJS.ProcessEnv = {}) =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
      const child = spawn(process.execPath, [join(process.cwd(), 'dist/cli/main.js'), ...words], {
        cwd,
        env: { PATH: process.env.PATH, NO_COLOR: '1', BELFRY_DATA: world.dataDir, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
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
