/**
 * Around a whole run: what it logs, measures and answers with errors is searched for every secret that was in it. A
 * finding fails the run, whatever the tests say.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { search } from './search.ts'

let directory: string | undefined

export const setup = async (): Promise<void> => {
  directory = await mkdtemp(join(tmpdir(), 'belfry-capture-'))
  process.env.BELFRY_TEST_CAPTURE = directory
}

export const teardown = async (): Promise<void> => {
  if (directory === undefined) return
  const { secrets, bytes, findings } = await search(directory)
  const size = `${Math.ceil(bytes / 1000).toLocaleString('en')} kB of logs, metrics and errors`
  const sought = `${secrets.toLocaleString('en')} secrets, and tokens, in ${size}`
  console.log(`\nSecrecy: looked for ${sought}; findings: ${findings.length}`)
  if (findings.length === 0) {
    await rm(directory, { recursive: true, force: true })
    return
  }
  for (const { file, line, kind, form } of findings.slice(0, 50)) {
    console.error(`  ${join(directory, file)}:${line}: ${kind}, as ${form}`)
  }
  process.exitCode = 1
}
