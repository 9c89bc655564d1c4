import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CHAT_STORES } from '../../src/sync/chat.ts'
import { openTypedStore, type StoreDefinition } from '../../src/sync/stores.ts'
import { createLab, type Device, type Lab } from '../support/world/replicas.ts'
import vectors from '../vectors/sync.json' with { type: 'json' }

const { account, signature } = vectors
const key = (byte: string) => byte.repeat(32)

const thread = { topic: key('1d'), selfAccount: account, peerAccount: account, symKey: key('7e') }
const sentInvite = {
  ...{ id: 1684319157629569, message: 'Hey there! Wanna chat?' },
  ...{ inviterAccount: account, inviteeAccount: account },
  ...{ inviterPubKeyY: key('a5'), inviterPrivKeyY: key('b8') },
  status: 'pending' as const,
  ...{ responseTopic: key('0b'), symKey: key('e1'), timestamp: 1684319157629569 },
}

let lab: Lab
let device: Device
beforeEach(async () => {
  lab = createLab((below) => Math.floor(below / 2))
  device = await lab.add()
  await device.replica.register({ account, signature })
})
afterEach(() => lab[Symbol.dispose]())

describe('typed stores', () => {
  it('of chat have the published names', () => {
    expect(Object.values(CHAT_STORES).map(({ name }) => name)).toEqual(
      ['sentInvites', 'threads', 'inviteKeys', 'receivedInviteStatuses'].map(
        (name) => `com.walletconnect.chat.${name}`,
      ),
    )
  })

  const keep = async <T>(definition: StoreDefinition<T>, record: T & object, expected: string) => {
    const where = { account, store: definition.name }
    const store = await openTypedStore(device.replica, definition, where)
    expect(await store.set(record)).toBe(true)
    expect(await store.set(record)).toBe(false)
    expect(device.replica.entries(where)).toEqual([[expected, JSON.stringify(record)]])
    expect([store.get(expected), store.all()]).toEqual([record, [record]])
    for (const field of Object.keys(record)) {
      for (const broken of [{ [field]: undefined }, { [field]: { wrong: true } }])
        await expect(store.set({ ...record, ...broken })).rejects.toMatchObject({ code: 'bad_params' })
    }
    expect(await store.delete(expected)).toBe(true)
    expect(store.all()).toEqual([])
  }

  it('keep each record under its own key, as JSON, and no other shape', async () => {
    const { threads, sentInvites, inviteKeys, receivedInviteStatuses } = CHAT_STORES
    await keep(threads, thread, thread.topic)
    await keep(sentInvites, sentInvite, sentInvite.responseTopic)
    await keep(inviteKeys, { publicKey: key('09'), privateKey: key('80'), account }, account)
    await keep(receivedInviteStatuses, { id: 17, status: 'approved' }, '17')
  })

  it('show nothing of what others wrote in another shape or under another key', async () => {
    const { replica } = device
    const store = await openTypedStore(replica, CHAT_STORES.threads, { account })
    const where = { account, store: store.name }
    const heard: unknown[] = []
    using _listening = store.onChange((key, record) => heard.push([key, record]))
    for (const [at, value] of [
      ['x', 'not json'],
      ['y', JSON.stringify(thread)],
      [thread.topic, JSON.stringify({ ...thread, symKey: 1 })],
    ] as const)
      await replica.set({ ...where, key: at, value })
    expect([store.all(), store.get('x'), store.get('y'), store.get(thread.topic)]).toEqual([
      [],
      undefined,
      undefined,
      undefined,
    ])
    await store.set(thread)
    await store.delete(thread.topic)
    expect(heard).toEqual([
      ['x', undefined],
      ['y', undefined],
      [thread.topic, undefined],
      [thread.topic, thread],
      [thread.topic, undefined],
    ])
  })

  it('need an account that is registered', async () => {
    await expect(
      openTypedStore(device.replica, CHAT_STORES.threads, { account: 'eip155:1:0xother' }),
    ).rejects.toMatchObject({ code: 'not_found' })
  })
})
