/** What the examples of operators need: things to change and to take away, credentials, sessions, passkeys. */
import { z } from 'zod'
import { approvalBy, base64Of, newKey, newMicroblock } from '../../../sessions/ledger.ts'
import { contextWith } from '../../../sessions/wallet-context.ts'
import { createAuthenticator } from '../../console/authenticator.ts'
import { openConsole } from '../../console/browser-session.ts'
import type { Cast } from '../cast.ts'
import type { Prepared } from '../requests.ts'
import type { Preparations } from './notify.ts'

const Id = z.object({ id: z.string() })

const adminPreparations = ({ world, push }: Cast): Preparations => {
  const token = world.adminToken
  const ask = async (method: string, path: string, body?: unknown) => {
    const answer = await world.http(method, path, { token, ...(body !== undefined && { body }) })
    if (answer.status >= 300) throw new Error(`${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    return Object(answer.body)
  }
  const { credentials } = push.apns
  const { key, keyId, teamId, topic } = credentials
  return {
    adminRemoveApp: async () => {
      await world.addApp('gone.example.com')
      return {}
    },
    adminRotateApp: async () => {
      await world.addApp('rotated.example.com')
      return {}
    },
    async adminRevokeSecret() {
      const { secretId } = await ask('POST', `/admin/projects/${world.project.id}/secrets`, { name: 'over' })
      return { params: { secretId } }
    },
    async adminUnblock() {
      await ask('POST', '/admin/blocks', { kind: 'address', value: '192.0.2.8' })
      return {}
    },
    adminSetPushCredentials: async () => ({
      body: { provider: 'apns', apns: { kind: 'token', key, keyId, teamId, topic } },
    }),
    async removeTenant() {
      await ask('POST', '/tenants', { id: 'gone-app' })
      return {}
    },
    setTenantApns: async () => ({
      body: {
        ...{
          apns_type: 'token',
          apns_topic: topic,
          apns_pkcs8_pem: key,
          apns_key_id: keyId,
          apns_team_id: teamId,
        },
      },
    }),
    setTenantFcm: async () => ({ body: { credentials: JSON.stringify(push.fcm.credentials) } }),
  }
}

const consolePreparations = ({ world, console }: Cast): Preparations => {
  const authenticator = createAuthenticator('localhost', world.server.url)
  const signed = (more: Prepared = {}): Prepared => ({
    ...more,
    headers: { cookie: console.cookie, 'content-type': 'application/json' },
  })
  const typed = { headers: { 'content-type': 'application/json' } }
  const addPasskey = async (other = authenticator) => {
    const { body } = await console.ask('POST', '/console/passkeys/begin')
    return { name: 'laptop', answer: other.make(body) }
  }
  return {
    consoleSignIn: async () => ({ ...typed, body: { token: world.adminToken } }),
    consoleSignOut: async () => {
      const other = openConsole(world)
      await other.signIn()
      return { headers: { ...typed.headers, cookie: other.cookie } }
    },
    async consoleEndSession() {
      const other = await openConsole(world).signIn()
      const { id } = Id.parse(Object(other.body).session)
      return signed({ params: { id } })
    },
    consoleBeginPasskey: async () => signed(),
    consoleAddPasskey: async () => signed({ body: await addPasskey() }),
    async consoleRemovePasskey() {
      const other = createAuthenticator('localhost', world.server.url)
      await console.ask('POST', '/console/passkeys', { body: await addPasskey(other) })
      return signed({ params: { id: other.id } })
    },
    consoleAskPasskey: async () => typed,
    async consoleSignInWithPasskey() {
      const { body } = await openConsole(world).ask('POST', '/console/passkeys/ask')
      return { ...typed, body: { answer: authenticator.prove(body) } }
    },
  }
}

const approvalPreparations = ({ world }: Cast): Preparations => {
  const headers = { authorization: `Bearer ${world.project.secret}` }
  const create = async (key = newKey()) => {
    const body = { b64SerializedMicroblock: base64Of(newMicroblock()), signer: key.publicKey }
    const answer = await world.http('POST', `/v1/${world.project.id}/approvals`, { headers, body })
    return z.object({ anchorRequestId: z.string() }).parse(answer.body).anchorRequestId
  }
  return {
    createApproval: async () => ({
      headers,
      body: {
        b64SerializedMicroblock: base64Of(newMicroblock()),
        signer: newKey().publicKey,
        expiresIn: 3600,
      },
    }),
    getApproval: async () => ({ headers, params: { id: await create() } }),
    async answerWallet() {
      const anchorRequestId = await create()
      return { body: { data: { type: 'WALLET_OPERATOR_REQUEST_APPROVAL_HANDSHAKE', anchorRequestId } } }
    },
    async getChain() {
      const key = newKey()
      const anchorRequestId = await create(key)
      const { context } = contextWith()
      const { b64VbHash } = await approvalBy(key).handler({ serverUrl: world.url, anchorRequestId }, context)
      return { headers, params: { vbHash: b64VbHash } }
    },
  }
}

const pagePreparations = ({ world }: Cast): Preparations => ({
  async getAsset() {
    const page = await (await fetch(world.url)).text()
    return { params: { file: /\/assets\/([^"]+\.js)"/.exec(page)?.[1] ?? '' } }
  },
  async sendSession() {
    const opened = await (await fetch(`${world.url}/socket.io/?EIO=4&transport=polling`)).text()
    const { sid } = z.object({ sid: z.string() }).parse(JSON.parse(opened.slice(1)))
    return { params: { sid } }
  },
})

export const operatorPreparations = (cast: Cast): Preparations => ({
  ...adminPreparations(cast),
  ...consolePreparations(cast),
  ...approvalPreparations(cast),
  ...pagePreparations(cast),
})
