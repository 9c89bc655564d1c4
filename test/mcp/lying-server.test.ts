/** An agent whose server lies to it about answers, over HTTP: what reaches the tool counts only if wallets signed it. */
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type AgentWorld, CHOICES, startAgentWorld } from './agent.ts'

interface Answer {
  action: string
  jwt: string
  cacao: unknown
  subscription_id: string
  at: string
}
interface Receipt {
  account: string
  state: string
  at: string
  answer?: Answer
}
type Lie = (receipts: Receipt[]) => Receipt[]

let world: AgentWorld
let proxy: Server
let proxyUrl: string
let lie: Lie = (receipts) => receipts
beforeAll(async () => {
  world = await startAgentWorld()
  proxy = createServer(async (given, answer) => {
    const chunks: Buffer[] = []
    for await (const chunk of given) chunks.push(chunk)
    const { authorization = '', 'content-type': type = 'application/json' } = given.headers
    const told = await fetch(world.url + (given.url ?? ''), {
      method: given.method ?? 'GET',
      headers: { authorization, 'content-type': type },
      ...(chunks.length > 0 && { body: Buffer.concat(chunks) }),
    })
    const body = await told.json()
    if (Array.isArray(body.receipts)) body.receipts = lie(body.receipts)
    answer.writeHead(told.status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  const address = proxy.address()
  proxyUrl = `http://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`
})
afterAll(async () => {
  proxy?.closeAllConnections()
  proxy?.close()
  await world?.[Symbol.asyncDispose]()
})

const ofFirst =
  (change: (answer: Answer) => Answer): Lie =>
  ([first, ...rest]) =>
    first?.answer ? [{ ...first, answer: change(first.answer) }, ...rest] : []

const withClaim = (jwt: string, name: string, value: unknown): string => {
  const [header, payload = '', signature] = jwt.split('.')
  const claims = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), [name]: value }
  return [header, Buffer.from(JSON.stringify(claims)).toString('base64url'), signature].join('.')
}

it('counts no lie, and the truth as soon as it is told', async () => {
  const [one, two] = [await world.subscriber(), await world.subscriber()]
  const agent = await world.agent('--app', world.domain, '--server', proxyUrl)
  const asked = (id: string) => ({
    ...{ type: 'Questions', title: id, body: 'Shall we?', id, choices: CHOICES, wait_seconds: 0 },
    accounts: [one.account, two.account],
  })
  for (const id of ['first', 'second']) await agent.call('ask', asked(id))
  await one.answer('first', 'yes')
  await one.answer('second', 'no')
  const { receipts } = await world.dapp(world.domain).receipts('second')
  const earlier = receipts.find(({ answer }) => answer)?.answer as Answer

  const lies: [string, Lie][] = [
    ['another choice', ofFirst((answer) => ({ ...answer, action: 'no' }))],
    [
      'another choice in the JWT',
      ofFirst(({ jwt, ...rest }) => ({ ...rest, action: 'no', jwt: withClaim(jwt, 'aid', 'no') })),
    ],
    ['the answer to the other question', ofFirst(() => earlier)],
    [
      "one account's answer as the other's",
      ([first, ...rest]) => [
        ...rest.map((one) => ({ ...one, ...(first?.answer && { answer: first.answer }) })),
      ],
    ],
    [
      'somebody who was not asked',
      ([first]) => (first ? [{ ...first, account: world.newOwner().account }] : []),
    ],
    ['a late answer', ofFirst((answer) => ({ ...answer, at: '2999-01-01T00:00:00.000Z' }))],
    ['nothing that makes sense', ofFirst((answer) => ({ ...answer, jwt: '..', cacao: [] }))],
  ]
  for (const [name, next] of lies) {
    // The one who answered comes first.
    lie = (all) => next([...all].sort((a, b) => Number(!a.answer) - Number(!b.answer)))
    const told = await agent.call('ask', asked('first'))
    expect({ name, answers: told.answers, counts: told.counts }).toEqual({
      name,
      answers: [],
      counts: { yes: 0, no: 0 },
    })
  }

  // Twice the same is one answer.
  lie = (all) => [...all, ...all]
  expect(await agent.call('ask', asked('first'))).toMatchObject({ counts: { yes: 1, no: 0 } })
  lie = (all) => all
  const truth = await agent.call('ask', asked('first'))
  expect(truth).toMatchObject({ counts: { yes: 1, no: 0 }, refused: [], missing: [two.account] })
})
