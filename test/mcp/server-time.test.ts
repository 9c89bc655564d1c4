/** A question ends by the server's time, whatever the clock of the agent's machine says. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createQuestions } from '../../src/mcp/questions/questions.ts'
import { createServerTime } from '../../src/mcp/questions/server-time.ts'
import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'
import { createDapp } from '../../src/sdk/dapp.ts'
import { type ClientWorld, startClientWorld } from '../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  world = await startClientWorld()
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const HOUR_MS = 3_600_000
const clockAhead = (ms: number): Clock => ({ ...systemClock, now: () => systemClock.now() + ms })

it.each([
  ['an hour ahead', HOUR_MS],
  ['an hour behind', -HOUR_MS],
  ['right', 0],
])('where the clock is %s', async (_, ms) => {
  const domain = `clock${ms < 0 ? 'behind' : ms}.test`
  const [type = ''] = await world.app(domain)
  const owner = world.newOwner()
  await world.device(owner).wallet.subscribe(domain)
  const clock = clockAhead(ms)
  const time = createServerTime({ clock, fetch })
  const { url, project } = world
  const options = { url, projectId: project.id, secret: project.secret, domain }
  const dapp = createDapp(options, { clock, fetch: time.fetch })
  const questions = createQuestions({ dapp, clock, serverNow: time.now }, { domain, notifyUrls: [url] })
  const actions = [{ id: 'yes', title: 'Yes', answer: true as const }]
  const content = { type, title: 'Well?', body: 'body', actions }
  const waiting = { waitMs: 0, signal: new AbortController().signal }
  await questions.ask({ id: 'open', content, accounts: [owner.account], ttl: 600 }, waiting)
  expect(await questions.state('open')).toMatchObject({ status: 'waiting', missing: [owner.account] })
  const far = Math.abs(time.now() - systemClock.now())
  // Whole seconds of the header, and the time that an answer takes.
  expect(far).toBeLessThan(HOUR_MS / 60)

  await questions.ask({ id: 'short', content, accounts: [owner.account], ttl: 1 }, waiting)
  const look = { waitMs: 30_000, signal: waiting.signal, onLook: async () => {} }
  expect(await questions.wait('short', {}, look)).toMatchObject({ status: 'closed' })
})
