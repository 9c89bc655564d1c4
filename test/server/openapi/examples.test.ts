/** Every example of `/openapi.json` works: it is sent, with what only its caller has, and answered as is documented. */
import { createConfig, lintFromString } from '@redocly/openapi-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import { generateSigningKey } from '../../../src/protocol/keys.ts'
import { freePort } from '../../support/process.ts'
import { type AllRooms, type DescribedOperation, operationsOf, startAllRooms } from './all-rooms.ts'
import { type Cast, startCast } from './cast.ts'
import { clientPreparations } from './prepared/clients.ts'
import { notifyPreparations, type Preparations } from './prepared/notify.ts'
import { operatorPreparations } from './prepared/operators.ts'
import { type Prepared, type Sent, send } from './requests.ts'

const owned = createReleaseStack()
let house: AllRooms
let cast: Cast
let preparations: Preparations
const answers = new Map<string, Sent>()

beforeAll(async () => {
  const port = await freePort()
  const foreignRelay = generateSigningKey()
  house = owned.use(
    await startAllRooms({
      // Browsers take passkeys for this name.
      config: { port, publicUrl: `http://localhost:${port}`, pushRelays: [toHex(foreignRelay.publicKey)] },
    }),
  )
  cast = owned.use(await startCast(house, foreignRelay))
  await cast.console.signIn()
  preparations = { ...notifyPreparations(cast), ...clientPreparations(cast), ...operatorPreparations(cast) }
})
afterAll(() => owned[Symbol.asyncDispose]())

/** Names of the examples become those of this run. */
const localized = (operation: DescribedOperation): DescribedOperation => {
  const { world, owner } = cast
  const text = JSON.stringify(operation)
    .replaceAll('59ac24c90647c616c325883ef1e55c4a', world.project.id)
    .replaceAll(/0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359/gi, owner.address)
  return { ...operation, ...JSON.parse(text) }
}

const credentialsFor = ({ security }: DescribedOperation): Record<string, string> => {
  const schemes = security.flatMap((one) => Object.keys(one))
  const { world } = cast
  if (schemes.includes('projectSecret')) return { authorization: `Bearer ${world.project.secret}` }
  if (schemes.includes('adminToken')) return { authorization: `Bearer ${world.adminToken}` }
  return {}
}

/** What changes nothing for others first, what takes something away last. */
const ORDER = ['GET', 'PUT', 'POST', 'DELETE']
const LAST = new Set(['adminRotateServer', 'adminEraseAccount', 'removeIdentity'])
const FIRST = [
  ...['notify', 'startBroadcast', 'setWelcome', 'registerIdentity', 'registerInvite'],
  ...['createTenant', 'setTenantFcm', 'adminAddProject', 'adminSetPushProject'],
]

const inOrder = (operations: DescribedOperation[]): DescribedOperation[] => {
  const rank = ({ operationId, method }: DescribedOperation) => {
    if (LAST.has(operationId)) return 100
    return FIRST.includes(operationId) ? -100 + FIRST.indexOf(operationId) : ORDER.indexOf(method)
  }
  return operations.toSorted((a, b) => rank(a) - rank(b))
}

const isSuccess = (status: number | string) => Number(status) < 400

it('every example is answered with a success that is documented', async () => {
  const wrong: unknown[] = []
  for (const described of inOrder(operationsOf(house.document))) {
    const operation = localized(described)
    const { operationId, responses } = operation
    const prepared: Prepared = (await preparations[operationId]?.()) ?? {}
    const headers = { ...credentialsFor(operation), ...prepared.headers }
    const answer = await send(cast.world.url, operation, { ...prepared, headers })
    answers.set(operationId, answer)
    const statuses = Object.keys(responses)
    const successes = statuses.filter(isSuccess)
    const isRight = (successes.length > 0 ? successes : statuses).includes(String(answer.status))
    if (!isRight) wrong.push([operationId, answer.status, answer.text.slice(0, 200)])
  }
  expect(wrong).toEqual([])
})

it('what is answered to every example has the documented shape', async () => {
  const document = structuredClone(house.document)
  for (const { operationId, path, method } of operationsOf(house.document)) {
    const { status, text, headers } = answers.get(operationId) ?? {
      status: 0,
      text: '',
      headers: new Headers(),
    }
    const content = document.paths[path]?.[method.toLowerCase()]?.responses[status]?.content ?? {}
    const isEmpty = text === '' || status === 307
    // A body comes exactly where one is described, of the type that is described.
    expect([operationId, Object.keys(content).length === 0]).toEqual([operationId, isEmpty])
    for (const [type, media] of Object.entries(content)) {
      expect([operationId, headers.get('content-type')?.split(';')[0]]).toEqual([operationId, type])
      if (type === 'application/json') media.example = JSON.parse(text)
    }
  }
  const config = await createConfig({ rules: { 'no-invalid-media-type-examples': 'error' } })
  const problems = await lintFromString({ source: JSON.stringify(document), config })
  expect(problems.map(({ message, location: [place] }) => [place?.pointer, message])).toEqual([])
})
