/** Commands before what is no server of ours, and before one that says nothing: each waits as long as a request may take. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { runBelfry } from './belfry.ts'

const TOKEN = 'some token'

it.each([
  ['says nothing', () => {}, 'gives no answer in time, and may do yet what it was asked'],
  ['is another program', (answer: () => void) => answer(), 'is no Belfry'],
])('a server that %s is told apart from none', async (_, then, sentence) => {
  const server = createServer((_request, response) => then(() => response.end('<html>')))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const { port } = server.address() as AddressInfo
    const words = ['app', 'list', '--server', `http://127.0.0.1:${port}`, '--token', TOKEN]
    const { code, stdout, stderr } = await runBelfry(words, { cwd: process.cwd(), env: {} })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(sentence)
    expect(stderr).not.toContain('belfry serve')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})
