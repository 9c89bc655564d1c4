/** What nobody should send to a queue gets an answer of the document, and is never taken for a failure of ours. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { type Log, silent } from '../../src/platform/telemetry.ts'
import { hasty, hubAt, newAgent } from '../mq/agents.ts'
import { runs } from '../support/runs.ts'
import { startWorld } from '../support/world.ts'

it('answers anything with a refusal, whatever the path, the headers and the body', async () => {
  const failures: unknown[] = []
  const log: Log = { ...silent, error: (fields, sentence) => void failures.push({ fields, sentence }) }
  await using world = await startWorld({
    log,
    config: { rooms: ['mq'], mq: { domains: { default: hasty } } },
  })
  const hub = hubAt(world.url)
  const agent = newAgent()
  await hub.put(agent.hash, 'here')
  const { token, signature } = await hub.access(agent)
  const text = fc.oneof(
    fc.string({ maxLength: 80 }),
    fc.constantFrom(
      '',
      '..',
      '%',
      '%2e%2e',
      '\u0000',
      '__proto__',
      'default',
      'x'.repeat(3_000),
      '{"alg":"none"}',
    ),
  )
  const segment = fc.oneof(
    text.map(encodeURIComponent),
    fc.constantFrom('%', '%ff', '%00', agent.hash, `${signature}0`, 'default'),
  )
  const header = fc.oneof(
    fc.constantFrom(token, `Bearer ${token}`, 'Bearer', `${token}.`, `.${token}`, ''),
    fc.base64String({ maxLength: 200 }),
  )
  const verb = fc.constantFrom(
    ['GET', 'get'],
    ['GET', 'take'],
    ['DELETE', 'delete'],
    ['PUT', 'put'],
    ['POST', 'get'],
  )
  await fc.assert(
    fc.asyncProperty(
      verb,
      fc.array(segment, { minLength: 1, maxLength: 5 }),
      header,
      fc.option(fc.tuple(header, header)),
      text,
      async ([method = '', name], segments, authorization, sender, body) => {
        const response = await fetch(`${world.url}/mq/default/${name}/${segments.join('/')}`, {
          method,
          headers: {
            authorization,
            ...(sender && { 'x-mq-sender': sender[0], 'x-mq-signature': sender[1] }),
          },
          ...((method === 'PUT' || method === 'POST') && { body }),
        })
        const answer = await response.text()
        const isPut = method === 'PUT' && segments.length === 1 && segments[0] === agent.hash
        if (!isPut || response.status !== 200) {
          expect({ segments, status: response.status }).toMatchObject({
            status: expect.toSatisfy((status: number) => [400, 403, 404, 405].includes(status)),
          })
          expect(JSON.parse(answer)).toMatchObject({ error: expect.any(String), code: expect.any(String) })
        }
        expect(answer).not.toContain(token)
      },
    ),
    { numRuns: runs(300) },
  )
  expect(failures).toEqual([])
  expect((await hub.take(agent)).body).toMatchObject({ message: 'here' })
})
