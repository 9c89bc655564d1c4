import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { WEBHOOK_EVENTS } from '../../../src/notify/store/records.ts'
import { verifyWebhook } from '../../../src/sdk/dapp.ts'
import { createWallet } from '../../../src/sdk/wallet.ts'
import { eventually } from '../../support/eventually.ts'
import { newOwner } from '../../support/owner.ts'
import { type Received, signatureOf, startReceiver } from '../../support/webhook-receiver.ts'
import { startWorld, type World } from '../../support/world.ts'

const DOMAIN = 'app.example.com'
const OTHER_SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

let world: World
let receiver: Awaited<ReturnType<typeof startReceiver>>
let secret: string
let call: Received
beforeAll(async () => {
  receiver = await startReceiver()
  const allowed = { keys: [], webhooks: ['true'], did: [], push: [] }
  world = await startWorld({ config: { allowPrivateAddresses: allowed } })
  const { types } = await world.addApp(DOMAIN, { types: [{ name: 'News' }] })
  const { id, secret: bearer } = world.project
  const body = { url: receiver.url, events: ['subscribed', 'delivered', 'read'] }
  const answer = await world.http('POST', `/${id}/register-webhook`, { body, token: bearer })
  secret = String(Reflect.get(Object(answer.body), 'secret'))
  const owner = newOwner()
  const sign = async (text: string) => owner.sign(text)
  await using wallet = createWallet({ url: world.url, account: owner.account, domain: DOMAIN, sign })
  await eventually(() => expect(receiver.challenges).toHaveLength(1))
  await wallet.subscribe(
    DOMAIN,
    types.map(({ id: type }) => type),
  )
  await eventually(() => expect(receiver.calls).toHaveLength(1))
  const [first] = receiver.calls
  if (!first) throw new Error('no call')
  call = first
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
  await receiver[Symbol.asyncDispose]()
})

/** As Node has the headers of a request. */
const headersOf = ({ id, timestamp, signatures }: Received) => ({
  'webhook-id': id,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': signatures.map((one) => `v1,${one}`).join(' '),
})

describe('a call of a webhook', () => {
  it('is what the server says that it is: its id, and an event that is known by its type', async () => {
    const { id, event } = await verifyWebhook(call.body, headersOf(call), secret)
    expect(id).toBe(call.id)
    expect(event.type).toBe('subscribed')
    if (event.type === 'subscribed')
      expect(event.data).toMatchObject({ app_domain: DOMAIN, scope: [expect.any(String)] })
    expect(event.timestamp).toBeInstanceOf(Date)
    expect(await verifyWebhook(call.body, new Headers(headersOf(call)), secret)).toEqual({ id, event })
  })

  it('is verified while a secret is replaced, with either', async () => {
    const both = { ...call, signatures: [signatureOf(OTHER_SECRET, call), ...call.signatures] }
    for (const known of [secret, OTHER_SECRET, [OTHER_SECRET, secret]])
      expect((await verifyWebhook(call.body, headersOf(both), known)).id).toBe(call.id)
  })

  it.each<[string, (given: Received) => Received]>([
    ['whose body was changed', (given) => ({ ...given, body: `${given.body} ` })],
    ['with another id', (given) => ({ ...given, id: `${given.id}x` })],
    ['with another time', (given) => ({ ...given, timestamp: given.timestamp + 1 })],
    ['without a signature', (given) => ({ ...given, signatures: ['AAAA'] })],
    ['signed by somebody else', (given) => ({ ...given, signatures: [signatureOf(OTHER_SECRET, given)] })],
  ])('%s is refused', async (_, changed) => {
    const given = changed(call)
    await expect(verifyWebhook(given.body, headersOf(given), secret)).rejects.toMatchObject({
      code: 'unauthenticated',
    })
  })

  it('that is old, or ahead of its time, is refused', async () => {
    const at = call.timestamp * 1000
    for (const now of [at + 301_000, at - 301_000])
      await expect(verifyWebhook(call.body, headersOf(call), secret, { now })).rejects.toThrow(/too old/)
    const patient = { now: at + 301_000, toleranceSeconds: 600 }
    expect((await verifyWebhook(call.body, headersOf(call), secret, patient)).id).toBe(call.id)
  })

  it('without its headers is refused', async () => {
    for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature'])
      await expect(
        verifyWebhook(call.body, { ...headersOf(call), [name]: undefined }, secret),
      ).rejects.toThrow(name)
  })

  it.each([...WEBHOOK_EVENTS])('tells of every event that can be listened to: %s', async (type) => {
    const data = {
      ...{
        account: 'eip155:1:0x0',
        app_domain: DOMAIN,
        scope: [],
        reason: 'deleted',
        by: 'wallet',
        provider: 'fcm',
      },
      ...{ notification_ids: [], message_ids: [], action: 'yes', jwt: '', cacao: null, subscription_id: '' },
    }
    const given = { ...call, body: JSON.stringify({ type, timestamp: '2026-01-01T00:00:00.000Z', data }) }
    const signed = { ...given, signatures: [signatureOf(secret, given)] }
    const { event } = await verifyWebhook(given.body, headersOf(signed), secret)
    expect(event).toMatchObject({ type, data: { app_domain: DOMAIN } })
  })

  it.each(['no json', '{}', '{"type":"party","timestamp":"2026-01-01T00:00:00.000Z","data":{}}'])(
    'that is signed and says %s is no event',
    async (body) => {
      const given = { ...call, body }
      const signed = { ...given, signatures: [signatureOf(secret, given)] }
      await expect(verifyWebhook(body, headersOf(signed), secret)).rejects.toMatchObject({
        code: 'bad_params',
      })
    },
  )
})
