/** Message hubs in processes of their own, and somebody who uses them. */
import { randomBytes } from 'node:crypto'
import { ed25519Signer, mqClient } from '../../src/mq/client.ts'
import { generateAgreementKey, generateSigningKey } from '../../src/protocol/keys.ts'
import { freePort, type ServerProcess, startServerProcess } from '../support/process.ts'

export const agentAt = (url: string, key = generateSigningKey(), agreementKey = generateAgreementKey()) => ({
  agreementKey,
  ...mqClient({ url, agreementKey, ...ed25519Signer(key) }),
})

export interface HubPair {
  servers: ServerProcess[]
  /** Starts one of them (again), on its port. */
  start(at: number): Promise<void>
}

/** Two processes on one Redis. `env`: which rooms, and their settings. */
export const startHubPair = async (
  redisUrl: string,
  home: string,
  { env }: { env: NodeJS.ProcessEnv },
): Promise<HubPair> => {
  const ports = [await freePort(), await freePort()]
  const shared = {
    ...env,
    REDIS_URL: redisUrl,
    BELFRY_SECRET: randomBytes(32).toString('hex'),
    BELFRY_PUBLIC_URL: `http://127.0.0.1:${ports[0]}`,
  }
  const servers: ServerProcess[] = []
  const start = async (at: number): Promise<void> => {
    const options = { port: ports[at] ?? 0, env: shared, args: ['--metrics', 'shared'] }
    servers[at] = await startServerProcess(`${home}/${at}`, options)
  }
  await start(0)
  await start(1)
  return { servers, start }
}
