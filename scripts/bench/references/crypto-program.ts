/**
 * What a notification and a request cost in keys alone: the product's own functions in a loop, without a store, a relay
 * or a socket. The limit of what a process can do.
 */
import { randomBytes } from 'node:crypto'
import * as z from 'zod'
import { createVault } from '../../../src/notify/apps/vault.ts'
import { createNotificationMessages } from '../../../src/notify/outbox/notification-message.ts'
import { rpcIdOf, sealed, signed } from '../../../src/notify/outbox/wire.ts'
import type { AppRecord } from '../../../src/notify/store/store.ts'
import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { toHex } from '../../../src/protocol/bytes.ts'
import { didPkh, didWeb } from '../../../src/protocol/did.ts'
import { openEnvelope, parseEnvelope, sealType0 } from '../../../src/protocol/envelope.ts'
import { parseRpc, rpcRequest, rpcResult } from '../../../src/protocol/jsonrpc.ts'
import { signJwt, verifyJwt } from '../../../src/protocol/jwt.ts'
import { generateAgreementKey, generateSigningKey, generateSymKey } from '../../../src/protocol/keys.ts'
import { NOTIFY_METHODS } from '../../../src/protocol/notify-methods.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import { answerCalls } from '../program.ts'

const DOMAIN = 'bench.example.com'
const TYPE = 'news'
const UPDATE = NOTIFY_METHODS[4008]

const vault = createVault(randomBytes(32))
const appKeys = { authentication: generateSigningKey(), subscribe: generateAgreementKey() }
const now = Date.now()

const record: AppRecord = {
  domain: DOMAIN,
  projectId: 'bench',
  name: 'Bench',
  description: '',
  url: '',
  icons: { sm: '', md: '', lg: '' },
  types: [],
  listed: false,
  createdAt: now,
  authenticationSeed: vault.seal(appKeys.authentication.seed),
  authenticationKey: toHex(appKeys.authentication.publicKey),
  subscribePrivateKey: vault.seal(appKeys.subscribe.privateKey),
  subscribeKey: toHex(appKeys.subscribe.publicKey),
  subscribeTopic: topicOf(appKeys.subscribe.publicKey),
}
const app = { ...appKeys, previous: [], record }
const account = `eip155:1:0x${'ab'.repeat(20)}`

/** A subscriber's own key and topic: each notification is signed and sealed for another one. */
const newSubscription = () => {
  const key = generateSymKey()
  return { account, key: vault.seal(key), topic: topicOf(key), opened: key }
}
const subscriptions = Array.from({ length: 1_000 }, newSubscription)

const messageOf = createNotificationMessages({
  vault,
  publicUrl: 'https://notify.example.com',
  clock: systemClock,
})
const notification = {
  ...{ id: 'bench', projectId: 'bench', domain: DOMAIN, type: TYPE, title: 'Hello', body: 'x'.repeat(200) },
  ...{ icon: null, url: null, createdAt: now, deliverBy: now + 86_400_000, expiresAt: now + 86_400_000 },
}

const writeNotification = (at: number) => {
  const subscription = subscriptions[at % subscriptions.length]
  if (subscription) messageOf(app, notification, subscription, { id: `notification-${at}`, createdAt: now })
}

/** An update of a subscription, as a wallet sends it. */
const newRequest = ({ opened: key }: { opened: Uint8Array }) => {
  const identity = generateSigningKey()
  const iat = Math.floor(now / 1000)
  const claims = {
    ...{ iat, exp: iat + UPDATE.requestTtl, iss: identity.did, aud: appKeys.authentication.did },
    ...{ sub: didPkh(account), act: UPDATE.requestAct, mjv: '1', jti: '1' },
    ...{ ksu: 'https://keys.example.com', app: didWeb(DOMAIN), scp: TYPE },
  }
  const params = { [UPDATE.requestParam]: signJwt(claims, identity) }
  return { key, message: sealType0({ key, plaintext: rpcRequest(1, UPDATE.method, params) }) }
}
const requests = subscriptions.map(newRequest)

/** Opens and verifies a request, then signs and seals the answer with the view of one subscription. */
const answerRequest = (at: number) => {
  const request = requests[at % requests.length]
  if (!request) return
  const { key, message } = request
  const rpc = parseRpc(openEnvelope(parseEnvelope(message), key))
  if (rpc.kind !== 'request') throw new Error('it is a request')
  const params = z.record(z.string(), z.string()).parse(rpc.params)
  const expected = { now, act: UPDATE.requestAct, longest: UPDATE.requestTtl }
  const { iss } = verifyJwt(params[UPDATE.requestParam] ?? '', expected)
  const item = {
    ...{ appDomain: DOMAIN, appAuthenticationKey: appKeys.authentication.did, symKey: toHex(key), account },
    ...{ scope: [TYPE], expiry: 0, unreadNotificationCount: 0 },
  }
  const claims = {
    ...{ act: UPDATE.responseAct, aud: iss, sub: didPkh(account), app: didWeb(DOMAIN) },
    sbs: [item],
  }
  const jwt = signed(claims, appKeys.authentication, now, UPDATE.responseTtl)
  sealed(key, rpcResult(String(rpcIdOf(`${at}`)), { [UPDATE.resultParam]: jwt }))
}

/** How often it is done in a second. */
const measured = (work: (at: number) => void) => (argument: unknown) => {
  const ms = z.number().parse(argument)
  const start = performance.now()
  let done = 0
  while (performance.now() - start < ms) work(done++)
  return (done * 1000) / (performance.now() - start)
}

answerCalls({ notifications: measured(writeNotification), requests: measured(answerRequest) })
