import { expect, it } from 'vitest'
import { createLog } from '../../src/server/telemetry/log.ts'
import { startWorld } from '../support/world.ts'
import { hasty, hubAt, newAgent, newSsiAgent } from './agents.ts'

it('no signature and no token gets into a log, a metric or an error, however the path is spelled', async () => {
  const lines: string[] = []
  const log = createLog('debug', (line) => lines.push(line))
  const secrets: string[] = []
  const told: string[] = []
  {
    await using world = await startWorld({ log, config: { mq: { domains: { default: hasty } } } })
    const hub = hubAt(world.url)
    for (const agent of [newAgent(), newSsiAgent()]) {
      await hub.put(agent.hash, 'A private message')
      const { token, signature } = await hub.access(agent)
      secrets.push(token, signature, signature.slice(8, 48))
      const end = `${agent.hash}/${signature}`
      for (const [method, path] of [
        ['GET', `/mq/default/get/${end}`],
        ['GET', `/mq/default/take/${end}`],
        ['GET', `/mq/default/take/${agent.hash}/an-id/${signature}`],
        ['DELETE', `/mq/default/delete/${agent.hash}/an-id/${signature}`],
        ['HEAD', `/mq/default/get/${end}`],
        ['POST', `/mq/default/get/${end}`],
        ['GET', `/mq/off/get/${end}`],
        ['GET', `/mq/default/get/${end}x`],
        ['GET', `/mq/default/nothing/${end}/and/more`],
        ['GET', `//mq/default/get/${end}`],
        ['GET', `/%6dq/default/get/${end}`],
        ['GET', `/MQ/default/get/${end}`],
        ['GET', `/mq%2Fdefault/get/${end}`],
        ['GET', `/./mq/default/get/${end}`],
        ['GET', `/${token}/${signature}/token`.replace('/', '/mq/')],
      ] as const) {
        for (const headers of [{ 'x-mq-authorization': token }, { authorization: `Bearer ${token}` }]) {
          const response = await fetch(world.url + path, { method, headers })
          if (response.status >= 400) told.push(await response.text())
        }
      }
      await fetch(`${world.url}/mq/default/put/${agent.hash}`, {
        method: 'PUT',
        body: 'x',
        headers: { 'x-mq-authorization': `${token}x`, 'x-mq-sender': agent.did, 'x-mq-signature': signature },
      })
    }
    told.push(await world.metrics.text())
  }
  expect(lines.length).toBeGreaterThan(50)
  const written = [...lines, ...told].join('\n')
  for (const secret of secrets) expect(written).not.toContain(secret)
  expect(written).not.toContain('A private message')
  expect(lines.join('\n')).toContain('"path":"/mq/:domain/get/:hashDID/:signature"')
})
