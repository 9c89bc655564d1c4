/** `belfry audit`: what the commands of operators did. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { startWorld } from '../support/world.ts'
import { runBelfry } from './belfry.ts'

it('prints who did what, when, on what, and how it ended; page by page', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'belfry-audit-'))
  await using world = await startWorld()
  const access = { cwd: dir, env: { BELFRY_SERVER: world.url, BELFRY_ADMIN_TOKEN: world.adminToken } }
  const belfry = (...words: string[]) => runBelfry(words, access)
  try {
    expect((await belfry('audit')).stdout).toBe('Nothing yet.\n')
    await belfry('app', 'add', 'app.example', '--name', 'App')
    await belfry('app', 'remove', 'nobody.example', '--yes')
    const { code, stdout } = await belfry('audit')
    expect(code).toBe(0)
    const [removed = '', added = ''] = stdout.split('\n')
    expect(removed).toMatch(
      /token \(127\.0\.0\.1\) {2}DELETE \/admin\/apps\/:domain {2}domain=nobody\.example {2}404 /,
    )
    expect(added).toMatch(/POST \/admin\/apps {2}domain=app\.example name=App {2}done$/)
    const first = JSON.parse((await belfry('audit', '--limit', '1', '--json')).stdout)
    expect(first.rows).toHaveLength(1)
    expect((await belfry('audit', '--limit', '1', '--after', first.next)).stdout).toContain(
      'POST /admin/apps',
    )
    expect(await belfry('audit', '--limit', '0')).toMatchObject({ code: 2 })
  } finally {
    rmSync(dir, { recursive: true })
  }
})
