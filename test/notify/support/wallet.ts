import { type Cacao, cacaoTexts } from '../../../src/protocol/cacao.ts'
import { didPkh, didWeb } from '../../../src/protocol/did.ts'
import { openEnvelope, parseEnvelope, sealType0, sealType1 } from '../../../src/protocol/envelope.ts'
import { parseRpc, type RpcMessage, rpcRequest } from '../../../src/protocol/jsonrpc.ts'
import { type Claims, decodeJwt, signJwt } from '../../../src/protocol/jwt.ts'
import {
  deriveSymKey,
  generateAgreementKey,
  generateSigningKey,
  type SigningKey,
} from '../../../src/protocol/keys.ts'
import { NOTIFY_METHODS, type NotifyTag } from '../../../src/protocol/notify-methods.ts'
import { topicOf } from '../../../src/protocol/topic.ts'
import type { Owner } from '../../support/owner.ts'

export { newOwner, type Owner } from '../../support/owner.ts'

export const ALL_APPS =
  'I further authorize this app to view and manage my notifications for ALL apps. Read more at https://walletconnect.com/notifications-all-apps'
export const THIS_APP =
  'I further authorize this app to send me notifications. Read more at https://walletconnect.com/notifications'
export const KEY_SERVER = 'https://keys.example'

/** The CACAO by which the owner lets the identity key speak for it. */
export const newCacao = (owner: Owner, identity: SigningKey, payload: Partial<Cacao['p']> = {}): Cacao => {
  const unsigned: Cacao = {
    h: { t: 'eip4361' },
    p: {
      aud: identity.did,
      domain: 'wallet.example',
      iss: didPkh(owner.account),
      statement: ALL_APPS,
      version: '1',
      nonce: '12345678',
      iat: '2026-01-01T00:00:00.000Z',
      ...payload,
    },
    s: { t: 'eip191', s: '' },
  }
  return { ...unsigned, s: { t: 'eip191', s: owner.sign(cacaoTexts(unsigned)[0] ?? '') } }
}

/** A message on its way to the server, and how its answer can be read. */
export interface Sent {
  topic: string
  message: string
  tag: number
  answerTopic: string
  key: Uint8Array
  rpcId: string
}

let lastRpcId = 1_795_200_000_000_000

/** A device of an account: an identity key and what is needed to speak with it. */
export const newDevice = (
  owner: Owner,
  options: { now: () => number; mjv?: string | undefined; account?: string; keyServer?: string },
) => {
  const identity = generateSigningKey()
  const { account = owner.account, keyServer = KEY_SERVER } = options

  const claims = (tag: NotifyTag, aud: string, more: Record<string, unknown>): Claims => {
    const iat = Math.floor(options.now() / 1000)
    const row = NOTIFY_METHODS[tag]
    return {
      iat,
      exp: iat + row.requestTtl,
      iss: identity.did,
      aud,
      sub: didPkh(account),
      act: row.requestAct,
      ksu: keyServer,
      ...('mjv' in options ? (options.mjv === undefined ? {} : { mjv: options.mjv }) : { mjv: '1' }),
      sdk: { packageManager: 'npm' },
      // Clocks stand still here: what is asked twice is two requests all the same.
      jti: String(++lastRpcId),
      ...more,
    }
  }

  const request = (tag: NotifyTag, jwt: string, rpcId = String(++lastRpcId)) => ({
    rpcId,
    text: rpcRequest(rpcId, NOTIFY_METHODS[tag].method, { [NOTIFY_METHODS[tag].requestParam]: jwt }),
  })

  /** To a public key: the answer comes on the topic of what both agree on. */
  const sendTo = (tag: NotifyTag, publicKey: Uint8Array, text: string, rpcId: string): Sent => {
    const pair = generateAgreementKey()
    const key = deriveSymKey(pair.privateKey, publicKey)
    return {
      topic: topicOf(publicKey),
      message: sealType1({ key, senderPublicKey: pair.publicKey, plaintext: text }),
      tag,
      answerTopic: topicOf(key),
      key,
      rpcId,
    }
  }

  /** On a notify topic. */
  const sendOn = (tag: NotifyTag, key: Uint8Array, text: string, rpcId: string): Sent => ({
    topic: topicOf(key),
    message: sealType0({ key, plaintext: text }),
    tag,
    answerTopic: topicOf(key),
    key,
    rpcId,
  })

  return {
    owner,
    identity,
    account,
    claims,
    request,
    sendTo,
    sendOn,
    watch(server: { publicKey: Uint8Array; did: string }, domain: string | null = null) {
      const { rpcId, text } = request(
        4010,
        signJwt(claims(4010, server.did, { app: domain && didWeb(domain) }), identity),
      )
      return sendTo(4010, server.publicKey, text, rpcId)
    },
    subscribe(app: { publicKey: Uint8Array; did: string; domain: string }, scope: string[]) {
      const jwt = signJwt(claims(4000, app.did, { app: didWeb(app.domain), scp: scope.join(' ') }), identity)
      const { rpcId, text } = request(4000, jwt)
      return sendTo(4000, app.publicKey, text, rpcId)
    },
    /** Update, delete, history, mark as read: whatever goes on the notify topic. */
    ask(
      tag: 4004 | 4008 | 4014 | 4016 | 4018,
      app: { did: string; domain: string },
      key: Uint8Array,
      more: Record<string, unknown> = {},
    ) {
      const { rpcId, text } = request(
        tag,
        signJwt(claims(tag, app.did, { app: didWeb(app.domain), ...more }), identity),
      )
      return sendOn(tag, key, text, rpcId)
    },
  }
}
export type Device = ReturnType<typeof newDevice>

/** What is in an envelope of type 0. */
export const opened = (message: string, key: Uint8Array): RpcMessage =>
  parseRpc(openEnvelope(parseEnvelope(message), key))

/** Claims of the JWT in a result, a failure, or a request. */
export const claimsIn = (rpc: RpcMessage): Claims => {
  const holder = rpc.kind === 'result' ? rpc.result : rpc.kind === 'request' ? rpc.params : undefined
  const [jwt] = holder && typeof holder === 'object' ? Object.values(holder) : []
  if (typeof jwt !== 'string') throw new Error(`There is no JWT in ${JSON.stringify(rpc)}`)
  return decodeJwt(jwt).claims
}
