/** What the examples of wallets, agents and relays need: tokens, signatures and keys, made by the clients of the package. */
import { crypto } from '#crypto'
import { createArchiveClient } from '../../../../src/archive/client.ts'
import { createKeysClient } from '../../../../src/keys/client.ts'
import { ed25519Signer, mqClient } from '../../../../src/mq/client.ts'
import { hashDid } from '../../../../src/mq/dids.ts'
import { systemClock } from '../../../../src/platform/runtime/clock.ts'
import { concat, toHex, utf8 } from '../../../../src/protocol/bytes.ts'
import { signJwt } from '../../../../src/protocol/jwt.ts'
import { generateSigningKey } from '../../../../src/protocol/keys.ts'
import { messageIdOf } from '../../../../src/protocol/topic.ts'
import { createPushClient } from '../../../../src/push/client.ts'
import { newCacao } from '../../../notify/support/wallet.ts'
import type { Cast } from '../cast.ts'
import { type Prepared, recorded } from '../requests.ts'
import type { Preparations } from './notify.ts'

const INVITE_KEY = 'did:key:z6LSbysY2xFMRpGMhb7tFTLMpeuPRaqaWM1yECx2AtzE3KCc'

const keyPreparations = ({ world, owner, identity }: Cast): Preparations => {
  const { account } = owner
  const cacao = newCacao(owner, identity, { iat: new Date().toISOString() })
  const registry = createKeysClient({ clock: systemClock, fetch }, { url: world.url })
  const asked = (call: (keys: typeof registry) => Promise<unknown>) =>
    recorded((fetch) => call(createKeysClient({ clock: systemClock, fetch }, { url: world.url })))
  const publicKey = identity.did.replace('did:key:', '')
  return {
    registerIdentity: () => asked((keys) => keys.registerIdentity(cacao, identity)),
    getIdentity: async () => ({ params: { publicKey } }),
    adminGetKey: async () => ({ params: { key: identity.did } }),
    registerInvite: () => asked((keys) => keys.registerInvite(identity, account, INVITE_KEY)),
    getInvite: async () => ({ params: { account } }),
    async removeInvite() {
      await registry.registerInvite(identity, account, INVITE_KEY)
      return asked((keys) => keys.unregisterInvite(identity, account))
    },
    removeIdentity: () => asked((keys) => keys.unregisterIdentity(identity, account)),
  }
}

const relayPreparations = ({ world, relayClient, topic, topicKey, publisher }: Cast): Preparations => {
  const iat = Math.floor(Date.now() / 1000)
  const claims = { iss: relayClient.did, sub: 'ab'.repeat(32), aud: world.url, iat, exp: iat + 3_600 }
  const authorization = `Bearer ${signJwt(claims, relayClient)}`
  const options = { url: world.url, relayUrl: world.wsUrl, key: relayClient }
  const asked = (call: (archive: ReturnType<typeof createArchiveClient>) => Promise<unknown>) =>
    recorded((fetch) => call(createArchiveClient({ clock: systemClock, fetch }, options)))
  return {
    callRelay: async () => ({ headers: { authorization } }),
    registerArchive: async () => ({ headers: { authorization } }),
    async compactArchive() {
      const archive = createArchiveClient({ clock: systemClock, fetch }, options)
      await archive.register([5000], [{ topic, key: topicKey }])
      for (const message of ['one', 'two']) await publisher.publish({ topic, message, tag: 5000, ttl: 300 })
      return asked((archive) => archive.compact({ topic, key: topicKey }, messageIdOf('two')))
    },
  }
}

const queuePreparations = ({ world }: Cast): Preparations => {
  const agent = ed25519Signer(generateSigningKey())
  const queue = mqClient({ url: world.url, ...agent })
  const asked = (call: (mq: typeof queue) => Promise<unknown>) =>
    recorded(
      (fetch) => call(mqClient({ url: world.url, ...agent }, { fetch })),
      ({ pathname }) => pathname.endsWith('/token'),
    )
  const filled = async () => queue.put(agent.did, 'hello')
  const olderOf = ({ path = '', ...rest }: Prepared): Prepared => ({
    ...rest,
    path: path.replace(/\/([^/]+)$/, '/rest/$1'),
  })
  const ofFilled = (call: (mq: typeof queue, id: string) => Promise<unknown>) => async () => {
    const id = await filled()
    return asked((mq) => call(mq, id))
  }
  return {
    getQueueToken: async () => ({ params: { hashDID: hashDid(agent.did) } }),
    async putQueueMessage() {
      const { path, headers = {} } = await asked((mq) => mq.put(agent.did, 'hello'))
      return { path: path ?? '', headers: { 'x-mq-authorization': headers['x-mq-authorization'] ?? '' } }
    },
    getQueueMessage: ofFilled((mq) => mq.peek()),
    takeQueueMessage: ofFilled((mq) => mq.take()),
    takeNamedQueueMessage: ofFilled((mq, id) => mq.take({ id })),
    takeOlderQueueMessage: async () => olderOf(await ofFilled((mq, id) => mq.take({ id }))()),
    removeQueueMessage: ofFilled((mq, id) => mq.delete(id)),
    removeOlderQueueMessage: async () => olderOf(await ofFilled((mq, id) => mq.delete(id))()),
  }
}

/** What a relay signs: the time, the length and the body. */
const signedBy = (seed: Uint8Array, body: unknown): Prepared => {
  const text = JSON.stringify(body)
  const timestamp = String(Math.floor(Date.now() / 1000))
  const signature = crypto.ed25519Sign(concat(utf8(`${timestamp}.${utf8(text).length}.`), utf8(text)), seed)
  return {
    headers: { 'X-Ed25519-Signature': toHex(signature), 'X-Ed25519-Timestamp': timestamp },
    body: text,
  }
}

const pushPreparations = ({ world, push, foreignRelay }: Cast): Preparations => {
  const key = generateSigningKey()
  const authorized = { headers: { authorization: `Bearer ${push.token(key)}` } }
  const client = createPushClient({ clock: systemClock, fetch }, { url: world.url, key: () => key })
  const target = { fcm: { token: 'fcm-token-1' } }
  const asked = (call: (client: ReturnType<typeof createPushClient>) => Promise<unknown>) =>
    recorded((fetch) =>
      call(createPushClient({ clock: systemClock, fetch }, { url: world.url, key: () => key })),
    )
  const registration = { client_id: key.did, type: 'fcm', token: 'fcm-token-2', always_raw: true }
  const register = async (): Promise<Prepared> => ({ ...authorized, body: registration })
  const remove = async (): Promise<Prepared> => {
    await world.http('POST', '/clients', { ...authorized, body: registration })
    return { ...authorized, params: { id: key.did } }
  }
  const message = async (): Promise<Prepared> => {
    await world.http('POST', '/clients', { ...authorized, body: registration })
    const body = { topic: 'ab'.repeat(32), tag: 4002, message: 'aGVsbG8=' }
    return { ...signedBy(foreignRelay.seed, body), params: { id: key.did } }
  }
  return {
    registerDevice: () => asked((client) => client.register(target)),
    removeDevices: () => asked((client) => client.unregister()),
    async removeDevice() {
      const id = await client.register(target)
      return asked((client) => client.unregister(id))
    },
    ...{ registerClient: register, registerClientOfTenant: register },
    ...{ removeClient: remove, removeClientOfTenant: remove },
    ...{ pushMessage: message, pushMessageOfTenant: message },
  }
}

export const clientPreparations = (cast: Cast): Preparations => ({
  ...keyPreparations(cast),
  ...relayPreparations(cast),
  ...queuePreparations(cast),
  ...pushPreparations(cast),
})
