/**
 * Tokens that a wallet's relay key signed for others to hold: whoever holds one must not be the wallet at the relay.
 * The wallet is away, so its message waits; what logs in as the wallet would fetch it, and it would be gone.
 */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { toBase64, utf8 } from '../../src/protocol/bytes.ts'
import { signJwt } from '../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createRelayClient } from '../../src/relay/client/index.ts'
import { hex } from '../contract/relay-samples.ts'
import { capturedLog } from '../support/capture/log.ts'
import { eventually } from '../support/eventually.ts'
import { upgradeStatus } from '../support/world/relay.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world[Symbol.asyncDispose]())

const DAY_S = 86_400
const wallet = generateSigningKey()
const topic = hex('topic of the wallet')

const signed = (claims: object): string => {
  const iat = Math.floor(Date.now() / 1000)
  const sub = 'ab'.repeat(32)
  return signJwt({ iss: wallet.did, sub, aud: world.wsUrl, iat, exp: iat + DAY_S, ...claims }, wallet)
}
const longLived = () => ({ exp: Math.floor(Date.now() / 1000) + 3_650 * DAY_S })

const connect = (key: typeof wallet, onMessage: (message: string) => void = () => {}) =>
  createRelayClient(
    { clock: systemClock, log: capturedLog, meter: unmeasured },
    { url: world.wsUrl, key, onMessage: async ({ message }) => onMessage(message) },
  )

/** Fetches what waits for the wallet, as whoever has this token. */
const fetchAs = (token: string) =>
  world.http('POST', '/rpc', {
    token,
    body: { id: 1, jsonrpc: '2.0', method: 'irn_fetchMessages', params: { topic } },
  })

it.each([
  [
    'a watch registration',
    () => ({ act: 'irn_watchRegister', sub: 'https://service.example', typ: 'subscriber', tag: [1] }),
  ],
  ['an order to compact an archive', () => ({ act: 'archive_compact', sub: topic, bfr: topic })],
  ['a subscription to an app', () => ({ act: 'notify_subscription' })],
  ['a login of ten years', longLived],
])('%s does not take the messages of a wallet that is away', async (what, claims) => {
  {
    await using home = connect(wallet)
    await home.subscribe([topic])
  }
  const message = toBase64(utf8(what))
  await using friend = connect(generateSigningKey())
  await friend.publish({ topic, message, tag: 1, ttl: 300 })

  const token = signed(claims())
  expect((await fetchAs(token)).status).toBe(401)
  expect(await upgradeStatus(new WebSocket(`${world.wsUrl}/?auth=${token}`))).toBe(401)

  const received: string[] = []
  await using back = connect(wallet, (message) => received.push(message))
  await back.subscribe([topic])
  await eventually(() => expect(received).toContain(message))
})
