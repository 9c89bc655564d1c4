/** An agent that is killed while it waits for an answer: it is lost nowhere, and counts once. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { crowd } from '../support/runs.ts'
import { type AgentWorld, CHOICES, startAgentWorld } from './agent.ts'

let world: AgentWorld
beforeAll(async () => {
  world = await startAgentWorld()
})
afterAll(() => world?.[Symbol.asyncDispose]())

const texts = { type: 'Questions', body: 'Shall we?', choices: CHOICES }

/** Ends with it, without a word. */
const killed = async (agent: Awaited<ReturnType<AgentWorld['agent']>>, waiting: Promise<unknown>) => {
  process.kill(agent.pid(), 'SIGKILL')
  await expect(waiting).rejects.toThrow('Connection closed')
}

it('an agent that is killed while it waits gets the answer from its next start, once', async () => {
  const subscriber = await world.subscriber()
  const asked = { ...texts, id: 'kill', title: 'kill', accounts: [subscriber.account] }
  const first = await world.agent()
  const waiting = first.call('ask', asked)
  await subscriber.question('kill')
  await killed(first, waiting)
  await subscriber.answer('kill', 'yes')

  const counted = {
    ...{ status: 'answered', counts: { yes: 1, no: 0 }, missing: [], refused: [] },
    answers: [{ account: subscriber.account, choice: 'yes' }],
  }
  const second = await world.agent()
  expect(await second.call('ask', asked)).toMatchObject(counted)
  // Nobody was asked twice, and asking again changes nothing.
  await subscriber.wallet
    .history(world.domain)
    .then(({ notifications }) => expect(notifications).toHaveLength(1))
  expect(await second.call('ask', asked)).toMatchObject(counted)
  expect(await (await world.agent()).call('answers', { id: 'kill' })).toMatchObject(counted)
  const { receipts } = await world.dapp(world.domain).receipts('kill')
  expect(receipts).toHaveLength(1)
})

it('whenever it is killed, one of its starts has each answer', async () => {
  const subscriber = await world.subscriber()
  const rounds = crowd(25, 5)
  for (let round = 0; round < rounds; round++) {
    const id = `kill ${round}`
    const asked = { ...texts, id, title: id, accounts: [subscriber.account] }
    const first = await world.agent()
    const waiting = first.call('ask', asked)
    waiting.catch(() => {})
    // From before it has asked to after it has the answer.
    const point = round % 3
    if (point > 0) await subscriber.question(id)
    const answering = point === 2 ? subscriber.answer(id, 'no') : undefined
    process.kill(first.pid(), 'SIGKILL')
    await waiting.catch(() => {})
    await answering
    const second = await world.agent()
    const again = second.call('ask', asked)
    if (point < 2) await subscriber.answer(id, 'no')
    expect(await again).toMatchObject({ status: 'answered', counts: { yes: 0, no: 1 }, refused: [] })
    await second.client.close()
  }
  const { notifications } = await subscriber.wallet.history(world.domain)
  expect(notifications).toHaveLength(rounds)
  // Two processes are started in each of up to 25 rounds, on a machine that has other work.
}, 300_000)

it('waits on while the server is started again', async () => {
  const subscriber = await world.subscriber()
  const agent = await world.agent()
  const asked = { ...texts, id: 'restart', title: 'restart', accounts: [subscriber.account] }
  const waiting = agent.call('ask', asked)
  await subscriber.question('restart')
  await world.restart()
  await subscriber.answer('restart', 'yes')
  expect(await waiting).toMatchObject({ status: 'answered', counts: { yes: 1, no: 0 } })
})

it('asks when the server is there again, if it was not', async () => {
  const subscriber = await world.subscriber()
  const agent = await world.agent()
  const asked = { ...texts, id: 'absent', title: 'absent', accounts: [subscriber.account] }
  let waiting: Promise<unknown> | undefined
  await world.restart(async () => {
    waiting = agent.call('ask', asked)
    // It has been refused once when a call behind it was.
    expect(await agent.fails('sent')).toMatch(/^unavailable: /)
  })
  await subscriber.answer('absent', 'no')
  expect(await waiting).toMatchObject({ status: 'answered', counts: { yes: 0, no: 1 } })
})
