/** What the stories need around a server process: a temporary home, an app, people with devices, and a dapp. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { createAsk } from '../../src/cli/admin-client.ts'
import { createKeysClient } from '../../src/keys/client.ts'
import {
  createWallet,
  fromNotifyServer,
  type Wallet,
  type WalletOptions,
} from '../../src/notify/client/index.ts'
import { type Clock, systemClock } from '../../src/platform/runtime/clock.ts'
import { unmeasured } from '../../src/platform/telemetry.ts'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { createRelayClient, type RelayClient, type RelayMessage } from '../../src/relay/client/index.ts'
import { capturedLog } from './capture/log.ts'
import { knownSecret } from './capture/record.mjs'
import { newOwner, type Owner } from './owner.ts'

export const temporaryHome = async (): Promise<AsyncDisposable & { path: string }> => {
  const path = await mkdtemp(join(tmpdir(), 'belfry-story-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

export const enrolled = z.object({
  projectId: z.string(),
  secret: z.string(),
  domain: z.string(),
  types: z.array(z.object({ id: z.string(), name: z.string() })).min(2),
})
export type EnrolledApp = z.infer<typeof enrolled>

/**
 * Declares an app with two types at the server of the data directory, as `belfry app add` does; in this process, since the
 * command would compute longer for its own start than for that.
 */
export const enrol = async (
  dataDir: string,
  domain: string,
  { project }: { project?: string } = {},
): Promise<EnrolledApp> => {
  const ask = createAsk({ one: { data: dataDir } })
  const types = [
    { name: 'News', description: 'what is new' },
    { name: 'Alerts', description: 'what is urgent' },
  ]
  const app = await ask(enrolled, 'POST', '/admin/apps', { domain, project, name: 'Story', types })
  knownSecret('project secret', app.secret)
  return app
}

export const newDevice = (
  server: { url: string; wsUrl: string },
  owner: Owner = newOwner(),
  options: Partial<WalletOptions> = {},
  clock: Clock = systemClock,
): Wallet => {
  const deps = { clock, log: capturedLog, meter: unmeasured, fetch }
  return createWallet(
    { ...deps, keys: createKeysClient(deps, { url: server.url }) },
    {
      relayUrl: server.wsUrl,
      notifyUrl: server.url,
      keysUrl: server.url,
      account: owner.account,
      sign: async (text) => owner.sign(text),
      domain: 'wallet.example.com',
      allApps: true,
      resolveAppKeys: fromNotifyServer(deps, server.url),
      ...options,
    },
  )
}

/** A client of the relay alone. The relay keeps its subscriptions, so a second one with the same key finds what waits. */
export const relayAs = (
  url: string,
  key = generateSigningKey(),
  onMessage: (message: RelayMessage) => void = () => {},
): RelayClient =>
  createRelayClient(
    { clock: systemClock, log: capturedLog, meter: unmeasured },
    { url, key, onMessage, remembers: true },
  )

const outcome = z.object({
  sent: z.array(z.string()),
  failed: z.array(z.unknown()),
  not_found: z.array(z.string()),
})
export type Outcome = z.infer<typeof outcome>

/** One `POST /:projectId/notify`. Throws when the server is not there or does not answer 200. */
export const postNotification = async (
  server: { url: string },
  app: EnrolledApp,
  notification: { id: string; body: string; accounts: readonly string[] },
  signal: AbortSignal | null = null,
): Promise<Outcome> => {
  const response = await fetch(`${server.url}/${app.projectId}/notify`, {
    method: 'POST',
    signal,
    headers: { authorization: `Bearer ${app.secret}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      notification_id: notification.id,
      notification: { type: app.types[0]?.id, title: 'Story', body: notification.body },
      accounts: notification.accounts,
    }),
  })
  if (!response.ok) throw new Error(`${response.status} ${await response.text()}`)
  return outcome.parse(await response.json())
}
