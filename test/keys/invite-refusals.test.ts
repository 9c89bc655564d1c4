/** Every fault of a JWT at the invite routes: its exact answer, and nothing is changed by it (protocol.md §9). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { didPkh, x25519Did } from '../../src/protocol/did.ts'
import { generateAgreementKey, type SigningKey } from '../../src/protocol/keys.ts'
import { createPerson, idAuth } from '../support/person.ts'
import { startRegistry } from '../support/world/keys.ts'

const OWN = 'https://belfry.example.com'
const person = createPerson()
const invite = x25519Did(generateAgreementKey().publicKey)

let world: Awaited<ReturnType<typeof startRegistry>>
let key: SigningKey
beforeAll(async () => {
  world = await startRegistry({ isOwnUrl: (url) => url === OWN })
  key = person.newKey()
  await world.ask('POST', '/identity', { cacao: person.cacao(key, world.clock.now()) })
})
afterAll(() => world[Symbol.asyncDispose]())

const token = (claims: { act: string } & Record<string, unknown>, age = 0) =>
  idAuth(key, world.clock.now() - age, { aud: OWN, sub: invite, pkh: didPkh(person.account), ...claims })
const held = async () => (await world.ask('GET', `/invite?account=${person.account}`)).body.value?.inviteKey

describe.each([
  ['POST', 'register_invite', 'unregister_invite'],
  ['DELETE', 'unregister_invite', 'register_invite'],
])('%s /invite', (method, act, otherAct) => {
  const faults: [string, () => string, number, string][] = [
    [
      'made for another key server',
      () => token({ act, aud: 'https://keys.walletconnect.com' }),
      401,
      'jwt_wrong_audience',
    ],
    ['made for nobody', () => token({ act, aud: undefined }), 401, 'jwt_wrong_audience'],
    ['made for another act', () => token({ act: otherAct }), 401, 'jwt_wrong_act'],
    ['made to unregister the identity', () => token({ act: 'unregister_identity' }), 401, 'jwt_wrong_act'],
    ['with an empty act', () => token({ act: '' }), 401, 'jwt_wrong_act'],
    ['expired', () => token({ act }, 86_400_000), 401, 'jwt_expired'],
    ['of the future', () => token({ act }, -86_400_000), 401, 'jwt_expired'],
    ['with a changed signature', () => token({ act }).replace(/.{8}$/, 'AAAAAAAA'), 401, 'jwt_invalid'],
    [
      'for a foreign account',
      () => token({ act, pkh: didPkh(createPerson().account) }),
      403,
      'account_mismatch',
    ],
    ['for no account', () => token({ act, pkh: undefined }), 400, 'bad_params'],
    ['for an account that is none', () => token({ act, pkh: 'did:pkh:x' }), 400, 'bad_params'],
    [
      'of an identity key that nobody registered',
      () =>
        idAuth(person.newKey(), world.clock.now(), {
          act,
          aud: OWN,
          sub: invite,
          pkh: didPkh(person.account),
        }),
      404,
      'identity_unknown',
    ],
  ]
  it.each(faults)('refuses a JWT %s', async (_, make, status, name) => {
    await world.ask('POST', '/invite', { idAuth: token({ act: 'register_invite' }) })
    const answer = await world.ask(method, '/invite', { idAuth: make() })
    expect(answer).toMatchObject({ status, body: { status: 'FAILURE', error: { name }, value: null } })
    expect(await held()).toBe(invite)
  })

  it.each([
    '{}',
    '{"idAuth":""}',
    '{"idAuth":7}',
    '{"idAuth":null}',
    '[]',
    `{"idAuth":"${'x'.repeat(9000)}"}`,
  ])('answers 400 for %.40s', async (body) => {
    expect(await world.ask(method, '/invite', body)).toMatchObject({
      status: 400,
      body: { status: 'FAILURE', error: { name: 'bad_params' }, value: null },
    })
  })

  it('does it when all is right', async () => {
    expect((await world.ask(method, '/invite', { idAuth: token({ act }) })).status).toBe(200)
    expect(await held()).toBe(method === 'POST' ? invite : undefined)
  })
})
