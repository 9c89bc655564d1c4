/**
 * Many accounts on few sockets, each subscribed to one app: what a crowd of wallets asks for, without the wallets. Many
 * register and subscribe at once, so that the server is what takes the time.
 */
import { randomBytes } from 'node:crypto'
import { createKeysClient } from '../../src/keys/client.ts'
import { fromNotifyServer, type PublicKeys } from '../../src/notify/client/app-keys.ts'
import { grantedCacao } from '../../src/notify/client/wallet/identity.ts'
import { createRequests } from '../../src/notify/client/wallet/requests.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { fromHex } from '../../src/protocol/bytes.ts'
import { didWeb } from '../../src/protocol/did.ts'
import { openEnvelope, parseEnvelope, sealType0, sealType1 } from '../../src/protocol/envelope.ts'
import { parseRpc } from '../../src/protocol/jsonrpc.ts'
import { deriveSymKey, generateAgreementKey, generateSigningKey } from '../../src/protocol/keys.ts'
import { NOTIFY_METHODS } from '../../src/protocol/notify-methods.ts'
import { topicOf } from '../../src/protocol/topic.ts'
import { newOwner } from '../../test/support/owner.ts'
import type { EnrolledApp } from '../../test/support/story.ts'
import { connectPeer, type Peer } from './peer.ts'
import type { BenchServer } from './server.ts'

/** Sockets that subscribe their accounts at once, and how many accounts each of them at once. */
const SOCKETS_AT_ONCE = 8
const ACCOUNTS_AT_ONCE = 25
const REQUEST_TIMEOUT_MS = 60_000

export interface Subscriber {
  account: string
  /** Asks for other types of notifications; resolves when the answer is verified. */
  update(scope: readonly string[]): Promise<unknown>
}

export interface Crowd extends Disposable {
  subscribers: Subscriber[]
  /** Called with each notification, which is not opened. */
  onNotification: () => void
}

/** A socket of many accounts: a message goes to the account that waits for an answer on its topic, if any. */
interface SharedSocket {
  peer: Peer
  awaited: Map<string, (message: string) => void>
}

type Deps = { server: BenchServer; app: EnrolledApp; keys: PublicKeys; socket: SharedSocket }

const deps = { clock: systemClock, fetch, randomBytes }

/** An account whose identity key is registered; `ask` resolves with what `apply` makes of the verified answer. */
const registered = async ({ server, socket: { peer, awaited } }: Deps) => {
  const owner = newOwner()
  const identity = generateSigningKey()
  const grant = {
    ...{ account: owner.account, identityKey: identity.did, keysUrl: server.url },
    ...{ domain: 'wallet.example.com', allApps: true },
  }
  const signing = { now: Date.now(), nonce: randomBytes(16), sign: async (text: string) => owner.sign(text) }
  await createKeysClient(deps, { url: server.url }).registerIdentity(
    await grantedCacao(grant, signing),
    identity,
  )
  const requests = createRequests(
    { ...deps, relay: { publish: async (message) => void (await peer.request('irn_publish', message)) } },
    {
      ...{ account: owner.account, identity: () => identity, timeout: REQUEST_TIMEOUT_MS },
      onUnknownIdentity: () => {},
    },
  )
  /** Answers on this topic can be opened until the result is disposed of. */
  const expectAnswer = (topic: string, key: Uint8Array): Disposable => {
    awaited.set(topic, (message) => {
      const rpc = parseRpc(openEnvelope(parseEnvelope(message), key))
      if (rpc.kind === 'result' || rpc.kind === 'failure') void requests.answered(topic, rpc)
    })
    return { [Symbol.dispose]: () => void awaited.delete(topic) }
  }
  return { account: owner.account, ask: requests.ask, expectAnswer }
}
type Registered = Awaited<ReturnType<typeof registered>>

/** Subscribes the accounts to the app; resolves with the key of each subscription. */
const subscribeAll = async (
  { server, app, keys, socket: { peer } }: Deps,
  accounts: readonly Registered[],
) => {
  const pairs = accounts.map(() => generateAgreementKey())
  const answers = pairs.map(({ privateKey }) => {
    const key = deriveSymKey(privateKey, keys.subscribe)
    return { key, topic: topicOf(key) }
  })
  await peer.request('irn_batchSubscribe', { topics: answers.map(({ topic }) => topic) })
  const subscribed = await Promise.all(
    accounts.map(async ({ ask, expectAnswer }, at) => {
      const [pair, answer] = [pairs[at], answers[at]]
      if (!pair || !answer) throw new Error('each account has its own')
      using _expected = expectAnswer(answer.topic, answer.key)
      return await ask(NOTIFY_METHODS[4000], {
        topic: topicOf(keys.subscribe),
        seal: (plaintext) => sealType1({ key: answer.key, senderPublicKey: pair.publicKey, plaintext }),
        responseTopic: answer.topic,
        of: keys.authentication,
        claims: { ksu: server.url, app: didWeb(app.domain), scp: app.types[0]?.id ?? '' },
        apply: ({ sbs }) => fromHex(sbs[0]?.symKey ?? ''),
      })
    }),
  )
  await peer.request('irn_batchUnsubscribe', { subscriptions: answers.map(({ topic }) => ({ topic })) })
  await peer.request('irn_batchSubscribe', { topics: subscribed.map(topicOf) })
  return subscribed
}

const subscriberOf = (
  { server, app, keys }: Deps,
  { account, ask, expectAnswer }: Registered,
  key: Uint8Array,
): Subscriber => ({
  account,
  async update(scope) {
    const topic = topicOf(key)
    using _expected = expectAnswer(topic, key)
    return await ask(NOTIFY_METHODS[4008], {
      topic,
      seal: (plaintext) => sealType0({ key, plaintext }),
      responseTopic: topic,
      of: keys.authentication,
      claims: { ksu: server.url, app: didWeb(app.domain), scp: scope.join(' ') },
      apply: () => undefined,
    })
  },
})

/** Subscribes new accounts to the app, as many on each socket. */
export const subscribeCrowd = async (
  server: BenchServer,
  app: EnrolledApp,
  { accounts, sockets }: { accounts: number; sockets: number },
): Promise<Crowd> => {
  const keys = await fromNotifyServer(deps, server.url)(app.domain)
  const peers: Peer[] = []
  const crowd: Crowd = {
    subscribers: [],
    onNotification: () => {},
    [Symbol.dispose]() {
      for (const peer of peers) peer.close()
    },
  }
  const fillSocket = async () => {
    const awaited: SharedSocket['awaited'] = new Map()
    const peer = await connectPeer(server.wsUrl, (message, topic) => {
      const take = awaited.get(topic)
      if (take) take(message)
      else crowd.onNotification()
    })
    peers.push(peer)
    const own = { server, app, keys, socket: { peer, awaited } }
    for (let left = Math.ceil(accounts / sockets); left > 0; left -= ACCOUNTS_AT_ONCE) {
      const size = Math.min(left, ACCOUNTS_AT_ONCE)
      const some = await Promise.all(Array.from({ length: size }, () => registered(own)))
      const subscribed = await subscribeAll(own, some)
      subscribed.forEach((key, at) => {
        const one = some[at]
        if (one) crowd.subscribers.push(subscriberOf(own, one, key))
      })
    }
  }
  let next = 0
  const worker = async () => {
    while (next++ < sockets) await fillSocket()
  }
  await Promise.all(Array.from({ length: SOCKETS_AT_ONCE }, worker))
  return crowd
}
