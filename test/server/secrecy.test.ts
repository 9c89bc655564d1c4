import { expect, it } from 'vitest'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { createDapp } from '../../src/sdk/dapp.ts'
import { createWallet, fromNotifyServer } from '../../src/sdk/wallet.ts'
import { createLog } from '../../src/server/telemetry/log.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner } from '../support/owner.ts'
import { startWorld } from '../support/world.ts'

it('nothing secret gets into the log of a whole story, at its lowest level', async () => {
  const lines: string[] = []
  const log = createLog('debug', (line) => lines.push(line))
  const secrets: string[] = []
  {
    await using world = await startWorld({ log })
    const { url, project } = world
    const app = await world.addApp('app.example.com', { types: [{ name: 'News' }] })
    const owner = newOwner()
    await using wallet = createWallet({
      url,
      ...owner,
      sign: async (text: string) => owner.sign(text),
      domain: 'wallet.example.com',
      allApps: true,
      resolveAppKeys: fromNotifyServer({ clock: systemClock, fetch }, url),
    })
    await wallet.watch()
    await wallet.subscribe('app.example.com')
    const received: string[] = []
    wallet.on('message', ({ notification }) => void received.push(notification.title))
    const dapp = createDapp({ url, projectId: project.id, secret: project.secret })
    const type = app.types[0]?.id ?? ''
    await dapp.notify({ type, title: 'A private title', body: 'A private body' }, [owner.account])
    await eventually(() => expect(received).toEqual(['A private title']))
    await wallet.markRead('app.example.com', 'all')
    // What goes wrong is where secrets get into logs.
    await world.http('POST', `/${project.id}/notify`, { token: `${project.secret}x`, body: {} })
    await world.http('GET', `/?auth=${project.secret}`)
    await world.http('POST', `/rpc?auth=${project.secret}`, { body: {} })
    await world.http('DELETE', '/identity', { body: { idAuth: project.secret } })
    secrets.push(project.secret, world.adminToken, 'A private', JSON.stringify(wallet.export()))
    // Everything long that the wallet keeps: keys in hex and base64, CACAO, signatures.
    const kept = JSON.stringify(wallet.export()).match(/[A-Za-z0-9+/_-]{43,}/g) ?? []
    const topics = wallet.subscriptions().map(({ topic }) => topic)
    const open = new Set([...topics, wallet.identityKey.slice('did:key:'.length)])
    secrets.push(...kept.filter((text) => !open.has(text) && !text.startsWith('z6')))
  }
  expect(lines.length).toBeGreaterThan(10)
  expect(secrets.length).toBeGreaterThan(5)
  const written = lines.join('\n')
  for (const secret of secrets) expect(written).not.toContain(secret)
  // Whatever looks like a token, an envelope, a query or a header.
  expect(written).not.toMatch(/eyJ[\w-]{10}/)
  expect(written).not.toMatch(/bearer (?!\[hidden\])/i)
  expect(written).not.toMatch(/auth=/)
  expect(written).not.toMatch(/[A-Za-z0-9+/]{100,}/)
  for (const line of lines) expect(() => JSON.parse(line)).not.toThrow()
})
