import { spawnSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { runDemo } from '../../src/cli/demo.ts'

test('the demo tells the whole story on one page, in time', async () => {
  const lines: string[] = []
  const startedAt = Date.now()
  await runDemo((line) => void lines.push(line))
  expect(Date.now() - startedAt).toBeLessThan(15_000)
  const page = lines.join('\n')
  for (const sentence of [
    'The phone subscribed to app.example.com',
    'The laptop was told, and has joined the same topic',
    'The dapp sent “Hello: Your first notification”',
    'The phone received and decrypted “Hello: Your first notification”',
    'The laptop received and decrypted “Hello: Your first notification”',
    'The laptop received and decrypted “Later: Sent while the laptop was away”',
    'unread  “Hello: Your first notification”',
    'The phone marked “Hello: Your first notification” as read',
    'The laptop deleted it',
    'All of it worked',
  ]) {
    expect(page).toContain(sentence)
  }
  expect(lines.length).toBeLessThan(60)
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(120)
})

test('a demo that fails says so in a sentence and with its exit code', () => {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/cli/main.js', 'demo'], {
    env: { ...process.env, TMPDIR: '/dev/null/nowhere' },
    encoding: 'utf8',
    timeout: 15_000,
  })
  expect(status).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toMatch(/^\nThe demo failed: .*nowhere.*\n$/)
})
