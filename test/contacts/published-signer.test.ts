/** The ERC-1056 signer that others use, unmodified, against our registry. It insists on a chain: it gets a node. */
import { createServer, type Server } from 'node:http'
import { EthrDidController } from 'ethr-did-resolver'
import { type Address, decodeFunctionData, encodeFunctionResult, type Hex, parseAbi } from 'viem'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { z } from 'zod'
import { fromHex } from '../../src/protocol/bytes.ts'
import {
  type ContactsWorld,
  DENIED,
  HEX,
  newSigner,
  type Signer,
  startContacts,
  YEAR,
} from '../support/world/contacts.ts'

const abi = parseAbi([
  'function nonce(address) view returns (uint256)',
  'function identityOwner(address identity) view returns (address)',
])
const question = z.object({
  id: z.number(),
  method: z.string(),
  params: z.array(z.unknown()).default([]),
})
const call = z.tuple([z.object({ to: z.string(), data: z.string().startsWith('0x') })]).rest(z.unknown())
const isHex = (text: string): text is Hex => text.startsWith('0x')

let town: ContactsWorld
let node: Server
const asked: string[] = []

/** What a contract at the registry's address would answer: nonces as our registry tells them, everybody their own owner. */
const contractAnswer = async (data: string): Promise<string> => {
  if (!isHex(data)) throw new Error('No call data')
  const { functionName, args } = decodeFunctionData({ abi, data })
  const [address] = args
  if (functionName === 'identityOwner') return encodeFunctionResult({ abi, functionName, result: address })
  const { nonce } = await town.nonceOf(address.toLowerCase())
  return encodeFunctionResult({ abi, functionName, result: BigInt(nonce) })
}

const answer = async ({ id, method, params }: z.output<typeof question>) => {
  asked.push(method)
  if (method === 'eth_chainId') return { jsonrpc: '2.0', id, result: '0x1' }
  if (method !== 'eth_call') return { jsonrpc: '2.0', id, error: { code: -32601, message: 'unknown' } }
  const [{ data }] = call.parse(params)
  return { jsonrpc: '2.0', id, result: await contractAnswer(data) }
}

beforeAll(async () => {
  town = await startContacts()
  node = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    const body: unknown = JSON.parse(text)
    const answers = Array.isArray(body)
      ? await Promise.all(body.map((one) => answer(question.parse(one))))
      : await answer(question.parse(body))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answers))
  })
  await new Promise<void>((done) => node.listen(0, '127.0.0.1', done))
})
afterAll(async () => {
  await new Promise((done) => node.close(done))
  await town?.[Symbol.asyncDispose]()
})

const controllerOf = (signer: Signer, registry: string) => {
  const address = node.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const did: Address = isHex(signer.address) ? signer.address : '0x'
  return new EthrDidController(
    did,
    undefined,
    undefined,
    'mainnet',
    undefined,
    `http://127.0.0.1:${port}`,
    registry,
  )
}
const signatureOf = (signer: Signer, digest: string) => signer.sign(fromHex(digest.slice(2)))

it('grants and revokes', async () => {
  const signer = newSigner()
  const { registry } = await town.nonceOf(signer.address)
  const controller = controllerOf(signer, registry)
  const did = controller.did
  for (const value of ['0x02b97c30', '0x1234']) {
    const hash = await controller.createSetAttributeHash(HEX, value, YEAR)
    const signature = signatureOf(signer, hash)
    const params = { did, name: HEX, value, signature, validity: YEAR }
    expect(await town.rpc('grantInstallation', params)).toMatchObject({ result: { status: 'success' } })
    // Handed in again, it is worth nothing.
    expect(await town.rpc('grantInstallation', params)).toEqual({ error: DENIED })
  }
  expect(await town.fetchAll(did)).toMatchObject({ result: { installation: ['02b97c30', '1234'] } })

  const hash = await controller.createRevokeAttributeHash(HEX, '0x02b97c30')
  const params = { did, name: HEX, value: '0x02b97c30', signature: signatureOf(signer, hash) }
  expect(await town.rpc('revokeInstallation', params)).toMatchObject({ result: { status: 'success' } })
  expect(await town.rpc('revokeInstallation', params)).toEqual({ error: DENIED })
  expect(await town.fetchAll(did)).toMatchObject({ result: { installation: ['1234'] } })
  expect(asked).toContain('eth_call')
})

it('is refused when it signs for the registry of a chain', async () => {
  const signer = newSigner()
  const controller = controllerOf(signer, '0xdca7ef03e98e0dc2b855be647c39abe984fcf21b')
  const hash = await controller.createSetAttributeHash(HEX, '0x1234', YEAR)
  const params = { did: controller.did, name: HEX, value: '0x1234', signature: signatureOf(signer, hash) }
  expect(await town.rpc('grantInstallation', params)).toEqual({ error: DENIED })
  expect(await town.fetchAll(controller.did)).toMatchObject({ result: { installation: [] } })
})
