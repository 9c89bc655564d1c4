/** The checks and tests of a checkout beside a server that runs in it, with its data in ./belfry-data. */
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { startWorld } from '../support/world.ts'

const run = promisify(execFile)

it('the linter reads nothing of a data directory, and so shows no token of it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-beside-'))
  try {
    await cp('biome.json', join(dir, 'biome.json'))
    await symlink(resolve('node_modules'), join(dir, 'node_modules'))
    await mkdir(join(dir, 'src'))
    await writeFile(join(dir, 'src/fine.ts'), 'export const fine = 1\n')
    await using world = await startWorld()
    await cp(world.dataDir, join(dir, 'belfry-data'), {
      recursive: true,
      // A socket cannot be copied.
      filter: (path) => !path.endsWith('.sock'),
    })
    const { stdout } = await run('npx', ['biome', 'check', '.'], { cwd: dir })
    // The two files that are not of the server.
    expect(stdout).toContain('Checked 2 files')
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}, 60_000)
