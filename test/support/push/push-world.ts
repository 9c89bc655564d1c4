/** The house with push, and providers on this machine that it reaches over TLS. */

import { systemClock } from '../../../src/platform/runtime/clock.ts'
import { createReleaseStack } from '../../../src/platform/runtime/release-stack.ts'
import { silent, unmeasured } from '../../../src/platform/telemetry.ts'
import { signJwt } from '../../../src/protocol/jwt.ts'
import { generateSigningKey, type SigningKey } from '../../../src/protocol/keys.ts'
import { createRelayClient, type RelayClient, type RelayMessage } from '../../../src/relay/client/index.ts'
import { startWorld, type World, type WorldOptions } from '../world.ts'
import { type FakeApns, startFakeApns } from './fake-apns.ts'
import { type FakeFcm, startFakeFcm } from './fake-fcm.ts'
import { type FakePushService, startFakePushService } from './fake-push-service.ts'
import { LOCAL_CA_FILE } from './local-tls.ts'

export interface PushWorld extends AsyncDisposable {
  readonly world: World
  readonly apns: FakeApns
  readonly fcm: FakeFcm
  readonly web: FakePushService
  /** A wallet of which only the key is known. */
  wallet(): SigningKey
  /** Registers as published wallets do, without a token. */
  register(project: string, client: SigningKey, type: string, token: string, raw?: boolean): Promise<number>
  /** Registers as our clients do. Returns the status. */
  device(project: string, client: SigningKey, device: object): Promise<{ status: number; body: unknown }>
  token(client: SigningKey, act?: string): string
  /** On the relay, as the client; `onMessage` acknowledges by resolving. */
  connect(client: SigningKey, onMessage?: (message: RelayMessage) => Promise<void>): RelayClient
}

/** The fakes of all providers, and the settings that lead a server to them. */
export const startFakes = async () => {
  const owned = createReleaseStack()
  const apns = owned.use(await startFakeApns())
  const fcm = owned.use(await startFakeFcm())
  const web = owned.use(await startFakePushService())
  return {
    apns,
    fcm,
    web,
    config: {
      pushCa: LOCAL_CA_FILE,
      pushUrls: { apns: apns.url, 'apns-sandbox': apns.url, fcm: fcm.url },
      allowPrivateAddresses: { keys: [], webhooks: [], did: [], push: ['true'] },
    },
    /** The same for a process. */
    env: {
      BELFRY_PUSH_CA: LOCAL_CA_FILE,
      BELFRY_PUSH_URLS: `apns=${apns.url},apns-sandbox=${apns.url},fcm=${fcm.url}`,
      BELFRY_ALLOW_PRIVATE_ADDRESSES: 'push=true',
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

/** Gives a project the credentials of the fakes, by the published routes for operators. */
export const giveCredentials = async (
  server: { url: string; adminToken: string },
  project: string,
  { apns, fcm }: { apns: FakeApns; fcm: FakeFcm },
): Promise<void> => {
  const headers = { authorization: `Bearer ${server.adminToken}` }
  const post = async (path: string, body: string | FormData, more: Record<string, string> = {}) => {
    const answer = await fetch(server.url + path, { method: 'POST', headers: { ...headers, ...more }, body })
    if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${await answer.text()}`)
  }
  await post('/tenants', JSON.stringify({ id: project }), { 'content-type': 'application/json' })
  const service = new FormData()
  service.set('credentials', JSON.stringify(fcm.credentials))
  await post(`/tenants/${project}/fcm_v1`, service)
  const apple = new FormData()
  const { topic, key, keyId, teamId } = apns.credentials
  for (const [name, value] of Object.entries({
    apns_type: 'token',
    apns_topic: topic,
    apns_pkcs8_pem: key,
    apns_key_id: keyId,
    apns_team_id: teamId,
  }))
    apple.set(name, value)
  await post(`/tenants/${project}/apns`, apple)
}

export type Fakes = Awaited<ReturnType<typeof startFakes>>

/** `shared`: fakes that stay when the world ends. */
export const startPushWorld = async (options: WorldOptions = {}, shared?: Fakes): Promise<PushWorld> => {
  const owned = createReleaseStack()
  const fakes = shared ?? owned.use(await startFakes())
  const world = owned.use(await startWorld({ ...options, config: { ...fakes.config, ...options.config } }))
  const token = (client: SigningKey, act?: string) => {
    const iat = Math.floor(Date.now() / 1000)
    return signJwt(
      { iss: client.did, aud: world.url, sub: 'x', iat, exp: iat + 3_600, ...(act && { act }) },
      client,
    )
  }
  return {
    world,
    ...{ apns: fakes.apns, fcm: fakes.fcm, web: fakes.web },
    wallet: generateSigningKey,
    async register(project, client, type, deviceToken, raw = true) {
      const body = { client_id: client.did, type, token: deviceToken, always_raw: raw }
      return (await world.http('POST', `/${project}/clients`, { body })).status
    },
    device: (project, client, device) =>
      world.http('POST', `/push/v1/${project}/devices`, {
        body: device,
        token: token(client, 'push_register'),
      }),
    token,
    connect: (client, onMessage = async () => {}) =>
      owned.use(
        createRelayClient(
          { clock: systemClock, log: silent, meter: unmeasured },
          { url: world.wsUrl, key: client, onMessage },
        ),
      ),
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}
