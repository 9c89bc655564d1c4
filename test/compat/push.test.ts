import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { giveCredentials, type PushWorld, startPushWorld } from '../support/push/push-world.ts'
import { startPeer } from './peer.ts'

const PROJECT = 'c'.repeat(32)

describe('@walletconnect/core 2.25 registers a device', () => {
  let push: PushWorld
  beforeAll(async () => {
    push = await startPushWorld()
    await giveCredentials(push.world, PROJECT, push)
  })
  afterAll(() => push[Symbol.asyncDispose]())

  const start = async () => {
    const routes = { 'echo.walletconnect.com': push.world.url }
    const peer = await startPeer('core', { client: '@walletconnect/core', routes })
    const clientId = await peer.call<string>('init', { relayUrl: push.world.wsUrl, projectId: PROJECT })
    return { peer, clientId }
  }

  it.each([
    ['raw', true],
    ['legacy', false],
  ])('and what is published while it is offline arrives at FCM as published, %s', async (name, isRaw) => {
    const wallet = await start()
    const dapp = await start()
    await using _wallet = wallet.peer
    await using _dapp = dapp.peer
    const key = randomBytes(32).toString('hex')
    const topic = await wallet.peer.call<string>('useKey', key)
    await dapp.peer.call('useKey', key)
    await wallet.peer.call('subscribe', topic)
    const token = `token-${name}`
    const { clientId } = wallet
    await wallet.peer.call('registerDevice', {
      ...{ clientId, token, notificationType: 'fcm', enableEncrypted: isRaw },
    })
    await wallet.peer.call('offline')
    const payload = { id: 1, jsonrpc: '2.0', method: 'note', params: { text: `Hello, ${name}` } }
    await dapp.peer.call('publish', topic, payload, { ttl: 300, tag: 1108, prompt: true })
    const pushed = await eventually(() => {
      const found = push.fcm.pushes.find((one) => one.token === token)
      if (!found) throw new Error('nothing was pushed')
      return found
    })
    const message = pushed.data[isRaw ? 'message' : 'blob']
    const expected = isRaw ? { topic, tag: '1108', message } : { topic, flags: '1', blob: message }
    expect(pushed.data).toEqual(expected)
    // As an app does in the background: with the topic's key and nothing else.
    expect(await wallet.peer.call('decode', topic, message)).toEqual(payload)
  })
})
