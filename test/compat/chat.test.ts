import { afterAll, beforeAll, expect, it } from 'vitest'
import { openSync } from '../../src/sdk/sync.ts'
import { CHAT_STORES } from '../../src/sync/chat.ts'
import { memoryStorage } from '../../src/sync/storage.ts'
import { openTypedStore } from '../../src/sync/stores.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { type System, startSystem } from '../support/world/system.ts'
import { type Peer, startPeer } from './peer.ts'

/** Published chat clients with their sync clients: invite, accept, talk, and a second device that finds it all. */

let system: System
beforeAll(async () => {
  system = await startSystem()
})
afterAll(() => system[Symbol.asyncDispose]())

interface Message {
  topic: string
  message: string
}

const chat = async (owner: Owner, index: number): Promise<Peer> => {
  const peer = await startPeer('chat', {
    routes: { ...system.fixedNames, 'keys.walletconnect.com': system.url },
  })
  await peer.call('init', {
    ...{ relayUrl: system.relayUrl(index), projectId: system.projectId, keyserverUrl: system.url },
  })
  const registering = peer.call('register', owner.account)
  // Its identity, then its synchronised stores.
  for (let text = 0; text < 2; text++) {
    const asked = await peer.next<string>('sign')
    await peer.call('signed', asked, owner.sign(asked))
  }
  await registering
  return peer
}

it('published chat clients invite, accept and talk, and ours reads their stores as records', async () => {
  const [ann, bob] = [newOwner(), newOwner()]
  await using watching = await openSync({
    ...{ relayUrl: system.relayUrl(0), archiveUrl: system.url, projectId: system.projectId },
    storage: memoryStorage(),
  })
  const { account } = ann
  await watching.register({ account, signature: ann.sign(await watching.getMessage({ account })) })
  const invites = await openTypedStore(watching, CHAT_STORES.sentInvites, { account })
  const threads = await openTypedStore(watching, CHAT_STORES.threads, { account })
  const inviteKeys = await openTypedStore(watching, CHAT_STORES.inviteKeys, { account })
  await watching.caughtUp()

  await using a = await chat(ann, 0)
  await using b = await chat(bob, 1)
  const inviteePublicKey = await a.call<string>('resolve', bob.account)
  await a.call('invite', {
    ...{ message: 'Wanna chat?', inviterAccount: ann.account, inviteeAccount: bob.account, inviteePublicKey },
  })
  const invite = await b.next<{ id: number }>('chat_invite')
  await b.call('accept', invite.id)
  const { topic } = await a.next<{ topic: string }>('chat_invite_accepted')
  await a.call('message', { topic, message: 'Hello', authorAccount: ann.account, timestamp: Date.now() })
  expect((await b.next<{ params: Message }>('chat_message')).params).toMatchObject({
    topic,
    message: 'Hello',
  })
  await b.call('message', { topic, message: 'Hi', authorAccount: bob.account, timestamp: Date.now() })
  await a.next('chat_message')

  await eventually(() => {
    expect(inviteKeys.get(account)?.account).toBe(account)
    expect(threads.all()).toMatchObject([{ topic, selfAccount: account, peerAccount: bob.account }])
    expect(invites.all()).toMatchObject([{ status: 'approved', message: 'Wanna chat?' }])
  })
  // A device that joins later has the thread from the synchronised store, and what was said in it from the archive.
  await using later = await chat(ann, 1)
  await eventually(async () => {
    expect(await later.call<unknown[]>('threads')).toMatchObject([{ topic, peerAccount: bob.account }])
    const said = await later.call<Message[]>('messages', topic)
    expect(said.map(({ message }) => message)).toEqual(expect.arrayContaining(['Hello', 'Hi']))
  })
})
