/** A dapp asks, wallets answer, and the dapp verifies by itself what it is told. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AnswerProof, verifyAnswer } from '../../../src/sdk/answers.ts'
import { eventually } from '../../support/eventually.ts'
import { startReceiver } from '../../support/webhook-receiver.ts'
import { type ClientWorld, startClientWorld } from '../../support/world/wallets.ts'

let world: ClientWorld
beforeAll(async () => {
  const allowPrivateAddresses = { keys: [], webhooks: ['127.0.0.1'], did: [], push: [] }
  world = await startClientWorld({ allowPrivateAddresses })
})
afterAll(async () => {
  await world?.[Symbol.asyncDispose]()
})

const code = (expected: string) => expect.objectContaining({ name: 'ProtocolError', code: expected })
const actions = [
  { id: 'yes', title: 'Yes', answer: true },
  { id: 'no', title: 'No', answer: true },
  { id: 'see', title: 'See', url: 'https://app.test/' },
] as const

let apps = 0
/** An app, two devices of a subscriber, and a notification that asks, which both have. */
const asked = async () => {
  const domain = `answers${++apps}.test`
  const [type = ''] = await world.app(domain)
  const dapp = world.dapp(domain)
  const owner = world.newOwner()
  const [phone, laptop] = [world.device(owner), world.device(owner)]
  await Promise.all([phone.wallet.watch(), laptop.wallet.watch()])
  await phone.wallet.subscribe(domain)
  await eventually(() => expect(laptop.wallet.subscriptions()).toHaveLength(1))
  const ask = async (id: string) => {
    await dapp.notify({ type, title: id, body: 'Shall we?', actions }, [owner.account], { id })
    return eventually(() => {
      const one = phone.received.find(({ title }) => title === id)
      if (!one) throw new Error('It has not come')
      return one
    })
  }
  const notification = await ask('vote')
  const proof = async (id = 'vote') => {
    const { receipts } = await dapp.receipts(id)
    return receipts[0]?.answer
  }
  return { domain, type, dapp, owner, phone, laptop, ask, notification, proof }
}

describe('an answer', () => {
  test('is in the receipt and counted, is verified by the dapp, and the notification is read everywhere', async () => {
    const { domain, dapp, owner, phone, laptop, notification, proof } = await asked()
    expect((await dapp.notification('vote')).answers).toEqual({ yes: 0, no: 0 })
    expect(await proof()).toBeUndefined()
    const before = Date.now()
    await phone.wallet.answer(domain, notification.id, 'yes')
    const { receipts } = await dapp.receipts('vote')
    expect(receipts[0]).toMatchObject({ account: owner.account, state: 'read', answer: { action: 'yes' } })
    expect((await dapp.notification('vote')).answers).toEqual({ yes: 1, no: 0 })
    for (const { wallet } of [phone, laptop])
      await eventually(() => expect(wallet.subscriptions()[0]?.unread).toBe(0))

    const found = await proof()
    if (!found) throw new Error('There is no proof')
    const verified = await verifyAnswer(found, { domain, notificationId: 'vote' })
    expect(verified).toEqual({
      account: owner.account,
      action: 'yes',
      at: expect.any(Number),
      identityKey: phone.wallet.identityKey,
    })
    expect(Math.abs(verified.at - before)).toBeLessThan(60_000)
  })

  test('counts once for an account: the same again is no fault, another one is refused', async () => {
    const { domain, dapp, phone, laptop, notification, proof } = await asked()
    await phone.wallet.answer(domain, notification.id, 'no')
    const first = await proof()
    await laptop.wallet.answer(domain, notification.id, 'no')
    await expect(laptop.wallet.answer(domain, notification.id, 'yes')).rejects.toEqual(
      code('already_answered'),
    )
    expect(await proof()).toEqual(first)
    expect((await dapp.notification('vote')).answers).toEqual({ yes: 0, no: 1 })
  })

  test('to what is no question is refused', async () => {
    const { domain, type, dapp, owner, phone, notification } = await asked()
    const { wallet } = phone
    await expect(wallet.answer(domain, notification.id, 'maybe')).rejects.toEqual(code('unknown_action'))
    await expect(wallet.answer(domain, notification.id, 'see')).rejects.toEqual(code('unknown_action'))
    await expect(wallet.answer(domain, crypto.randomUUID(), 'yes')).rejects.toEqual(
      code('unknown_notification'),
    )
    await dapp.notify({ type, title: 'plain', body: 'Nothing to say' }, [owner.account])
    const plain = await eventually(() => {
      const one = phone.received.find(({ title }) => title === 'plain')
      if (!one) throw new Error('It has not come')
      return one
    })
    await expect(wallet.answer(domain, plain.id, 'yes')).rejects.toEqual(code('unknown_action'))
    expect((await dapp.notification('vote')).answers).toEqual({ yes: 0, no: 0 })
  })

  test('reaches a webhook once, with the proof', async () => {
    const { domain, owner, phone, notification } = await asked()
    const { project, url } = world
    await using receiver = await startReceiver()
    const { status } = await fetch(`${url}/${project.id}/register-webhook`, {
      method: 'POST',
      headers: { authorization: `Bearer ${project.secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ url: receiver.url, events: ['answered'] }),
    })
    expect(status).toBe(201)
    await eventually(() => expect(receiver.challenges).toHaveLength(1))
    await phone.wallet.answer(domain, notification.id, 'yes')
    await phone.wallet.answer(domain, notification.id, 'yes')
    await eventually(() => expect(receiver.calls.length).toBeGreaterThan(0))
    const [{ event } = { event: undefined }, ...more] = receiver.calls
    expect(more).toEqual([])
    expect(event).toMatchObject({
      type: 'answered',
      data: {
        ...{ account: owner.account, app_domain: domain, action: 'yes' },
        ...{ message_ids: [notification.id], notification_ids: ['vote'] },
      },
    })
    const data = event?.data as unknown as AnswerProof
    const verified = await verifyAnswer(data, { domain, notificationId: 'vote' })
    expect(verified).toMatchObject({ account: owner.account, action: 'yes' })
  })
})

describe('a proof', () => {
  test('that says something else is refused', async () => {
    const { domain, phone, notification, proof, ask } = await asked()
    const stranger = await asked()
    await phone.wallet.answer(domain, notification.id, 'yes')
    await stranger.phone.wallet.answer(stranger.domain, stranger.notification.id, 'yes')
    const [good, other] = [await proof(), await stranger.proof()]
    if (!good || !other) throw new Error('There is no proof')
    const expected = { domain, notificationId: 'vote' }
    const refused = (proof: AnswerProof, about: object, as: string) =>
      expect(verifyAnswer(proof, { ...expected, ...about })).rejects.toEqual(code(as))
    await refused(good, { notificationId: (await ask('second')).title }, 'unknown_notification')
    await refused({ ...good, subscription_id: other.subscription_id }, {}, 'unknown_notification')
    await refused(good, { domain: stranger.domain }, 'app_not_authorized')
    await refused({ ...good, cacao: other.cacao }, {}, 'identity_invalid')
    const [header, payload = '', signature] = good.jwt.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString())
    const changed = Buffer.from(JSON.stringify({ ...claims, aid: 'no' })).toString('base64url')
    await refused({ ...good, jwt: [header, changed, signature].join('.') }, {}, 'jwt_invalid')
    const cacao = structuredClone(good.cacao) as { p: { statement: string } }
    cacao.p.statement = cacao.p.statement.replace('ALL', 'ALL THE')
    await refused({ ...good, cacao }, {}, 'identity_invalid')
    await expect(verifyAnswer(good, expected)).resolves.toMatchObject({ action: 'yes' })
  })

  test('cannot be shown as one to a notification whose id ends with the same line', async () => {
    const { domain, phone, ask, proof } = await asked()
    const other = await ask('other\nvote')
    await phone.wallet.answer(domain, other.id, 'yes')
    const good = await proof('other\nvote')
    if (!good) throw new Error('There is no proof')
    await verifyAnswer(good, { domain, notificationId: 'other\nvote' })
    const moved = { ...good, subscription_id: `${good.subscription_id}\nother` }
    await expect(verifyAnswer(moved, { domain, notificationId: 'vote' })).rejects.toEqual(
      code('unknown_notification'),
    )
  })
})
