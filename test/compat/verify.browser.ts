/** What the published sign-client shows a wallet of the page that asks, by the verify room. How long it takes: `verify.alone.ts`. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'
import { INSTALL_TIMEOUT } from '../support/debian.ts'
import { DECLARED, OTHER, playSession, startVerifyWorld, type VerifyWorld } from './verified-session.ts'

const owned = createReleaseStack()
let world: VerifyWorld
beforeAll(async () => {
  world = await startVerifyWorld(owned)
}, INSTALL_TIMEOUT + 60_000)
afterAll(() => owned[Symbol.asyncDispose]())

it.each([
  ['its own origin', DECLARED, DECLARED, 'VALID'],
  ['another origin than its own', OTHER, DECLARED, 'INVALID'],
  ['an origin that no app has declared', 'lookalike.example', 'lookalike.example', 'UNKNOWN'],
])(
  'a page that says %s is shown so by the wallet, and pauses nowhere',
  async (_, host, said, validation) => {
    await using wallet = await world.startWallet()
    const page = await world.openDapp(host, said)
    const { proposed, requested, answer, givenUp } = await playSession(page, wallet)
    expect(proposed).toMatchObject({ validation })
    expect(requested).toMatchObject({ validation })
    expect(answer).toBe('0xsigned')
    expect(givenUp).toBe(0)
    await page.context().close()
  },
  60_000,
)
