import { expect, it } from 'vitest'
import { hashDid } from '../../src/mq/dids.ts'
import { createTokens, tokenKeyFrom } from '../../src/mq/token.ts'
import { ProtocolError } from '../../src/protocol/errors.ts'
import { manualClock } from '../support/clock.ts'

const queue = { domain: 'default', hashDID: hashDid('did:key:z') }
let count = 0
const tokensOf = (secret: number, clock = manualClock()) => ({
  clock,
  ...createTokens({
    key: tokenKeyFrom(new Uint8Array(32).fill(secret)),
    issuer: 'did:web:example.com',
    clock,
    randomBytes: (length) => new Uint8Array(length).fill(++count),
  }),
})

it('is good for 900 s, for any process of the same secret, and no longer', async () => {
  const clock = manualClock()
  const [one, other] = [tokensOf(7, clock), tokensOf(7, clock)]
  const { token, expires } = await one.issue(queue)
  expect(expires).toBe(clock.now() + 900_000)
  expect(await other.verify(token, queue)).toMatch(/^[0-9a-f]{32}$/)
  await clock.advance(899_000)
  await other.verify(token, queue)
  await clock.advance(1_000)
  await expect(one.verify(token, queue)).rejects.toThrow(ProtocolError)
})

it('differs from every other one, and names itself', async () => {
  const tokens = tokensOf(1)
  const [{ token: a }, { token: b }] = [await tokens.issue(queue), await tokens.issue(queue)]
  expect(await tokens.verify(a, queue)).not.toBe(await tokens.verify(b, queue))
})

it('is nothing for another secret, queue or domain, nor when it comes from the future', async () => {
  const early = tokensOf(1, manualClock(Date.UTC(2025, 0, 1)))
  const late = tokensOf(1, manualClock(Date.UTC(2025, 0, 1) + 31_000))
  const { token } = await early.issue(queue)
  const refused = (attempt: () => Promise<unknown>) =>
    expect(attempt).rejects.toThrow(expect.objectContaining({ code: 'forbidden' }))
  await refused(() => tokensOf(2, early.clock).verify(token, queue))
  await refused(() => early.verify(token, { ...queue, domain: 'other' }))
  await refused(() => early.verify(token, { ...queue, hashDID: hashDid('x') }))
  await refused(() => late.issue(queue).then((issued) => early.verify(issued.token, queue)))
  await refused(() => early.verify(undefined, queue))
  await refused(() => early.verify('x'.repeat(10_000), queue))
})
