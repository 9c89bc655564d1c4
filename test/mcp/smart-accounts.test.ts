/** Answers of smart accounts: an agent asks their chain. */
import { getAddress } from 'viem'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Chain, startChain } from '../support/chain.ts'
import { newOwner } from '../support/owner.ts'
import { type AgentWorld, CHOICES, startAgentWorld } from './agent.ts'

let chain: Chain
let otherChain: Chain
let world: AgentWorld
beforeAll(async () => {
  chain = await startChain()
  otherChain = await startChain()
  const rpcUrls = { 'eip155:1': chain.url, 'eip155:10': otherChain.url }
  world = await startAgentWorld('smart.example.com', { rpcUrls })
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
  await chain?.[Symbol.asyncDispose]()
  await otherChain?.[Symbol.asyncDispose]()
})

/** A subscriber whose account is a contract that is not deployed yet. */
const smartSubscriber = () => {
  const owner = newOwner()
  const contract = chain.counterfactual(owner.address)
  return world.subscriber({
    account: `eip155:1:${contract.address}`,
    sign: async (text) => ({ t: 'eip6492', s: contract.wrap(owner.sign(text)) }),
  })
}
const question = (id: string, accounts: readonly string[], more: object = {}) => ({
  ...{ id, type: 'Questions', title: id, body: 'Shall we?', choices: CHOICES, accounts },
  ...more,
})
const down = () => chain.failWith((_, response) => void response.writeHead(503).end())

it('count when the chain says that they signed', async () => {
  const [agent, smart, other] = [await world.agent(), await smartSubscriber(), await world.subscriber()]
  const asked = agent.call('ask', question('both', [smart.account, other.account]))
  await smart.answer('both', 'yes')
  await other.answer('both', 'no')
  expect(await asked).toMatchObject({
    ...{ status: 'answered', counts: { yes: 1, no: 1 }, missing: [], refused: [], undecided: [] },
  })
})

it('are undecided while the chain cannot be asked, keep nobody else from being counted, and count afterwards', async () => {
  const [agent, other] = [await world.agent(), await world.subscriber()]
  const smart = [await smartSubscriber(), await smartSubscriber(), await smartSubscriber()]
  const accounts = smart.map(({ account }) => account)
  const asked = question('later', [...accounts, other.account])
  await agent.call('ask', { ...asked, wait_seconds: 0 })
  for (const one of [...smart, other]) await one.answer('later', 'yes')
  down()
  const calls = chain.calls
  const waiting = await agent.call('answers', { id: 'later', wait_seconds: 0 })
  expect(waiting).toMatchObject({ status: 'waiting', counts: { yes: 1 }, refused: [] })
  expect([...(waiting.undecided as string[])].sort()).toEqual([...accounts].sort())
  expect(waiting.missing).toEqual(waiting.undecided)
  // The chain is asked once in a look, whoever has answered.
  expect(chain.calls - calls).toBe(1)
  const goesOn = agent.call('answers', { id: 'later', wait_seconds: 30 })
  chain.failWith(undefined)
  expect(await goesOn).toMatchObject({ status: 'answered', counts: { yes: 4 }, undecided: [], missing: [] })
})

it('are looked at again when the question is closed', async () => {
  const [agent, smart] = [await world.agent(), await smartSubscriber()]
  // By the clocks of two processes. The answer must come before, also where one of them stands still for a while.
  const ask = question('closed', [smart.account], { answer_within_seconds: 10, wait_seconds: 0 })
  await agent.call('ask', ask)
  await smart.answer('closed', 'no')
  down()
  const closed = await agent.call('answers', { id: 'closed', wait_seconds: 30 })
  expect(closed).toMatchObject({ status: 'closed', counts: { no: 0 }, undecided: [smart.account] })
  chain.failWith(undefined)
  expect(await agent.call('answers', { id: 'closed' })).toMatchObject({
    ...{ status: 'answered', counts: { no: 1 }, undecided: [] },
  })
})

it('do not count where no node of the chain is named, nor when the contract has another owner by now', async () => {
  const owner = newOwner()
  const address = getAddress('0x00000000000000000000000000000000c0ffee01')
  let current: string = owner.address
  chain.deploy(address, () => current)
  const smart = await world.subscriber({
    account: `eip155:1:${address}`,
    sign: async (text) => ({ t: 'eip1271', s: owner.sign(text) }),
  })
  const agent = await world.agent()
  const asked = agent.call('ask', question('owner', [smart.account]))
  await smart.answer('owner', 'yes')
  expect(await asked).toMatchObject({ status: 'answered', counts: { yes: 1 } })
  const refused = {
    ...{ status: 'closed', counts: { yes: 0 } },
    refused: [{ account: smart.account, reason: 'identity_invalid' }],
  }
  const { BELFRY_RPC_URLS: named = '' } = world.env
  world.env.BELFRY_RPC_URLS = ''
  expect(await (await world.agent()).call('answers', { id: 'owner' })).toMatchObject(refused)
  world.env.BELFRY_RPC_URLS = named
  current = newOwner().address
  expect(await (await world.agent()).call('answers', { id: 'owner' })).toMatchObject(refused)
})

it('do not count when a contract of the same address on another chain signed', async () => {
  const [owner, stranger] = [newOwner(), newOwner()]
  const address = getAddress('0x00000000000000000000000000000000c0ffee02')
  chain.deploy(address, () => owner.address)
  otherChain.deploy(address, () => stranger.address)
  const elsewhere = await world.subscriber({
    account: `eip155:10:${address}`,
    sign: async (text) => ({ t: 'eip1271', s: stranger.sign(text) }),
  })
  const agent = await world.agent()
  const accounts = [`eip155:1:${address}`]
  const asked = agent.call('ask', question('elsewhere', accounts, { wait_seconds: 20 }))
  await elsewhere.answer('elsewhere', 'yes')
  expect(await asked).toMatchObject({
    ...{ status: 'closed', counts: { yes: 0 }, missing: [] },
    refused: [{ reason: 'account_mismatch' }],
  })
  // Under the name of its own chain it is asked, and may answer.
  expect(await agent.call('answers', { id: 'elsewhere', accounts: [`eip155:10:${address}`] })).toMatchObject({
    ...{ status: 'answered', counts: { yes: 1 } },
  })
})
