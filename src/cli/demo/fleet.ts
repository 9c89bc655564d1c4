/**
 * The world of many processes, as an operator runs it: two relays and two notify servers on one Redis, each of them this
 * command line once more (`belfry serve --rooms …`). The devices use different relays.
 */
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import { defaultProjectId, projectSecret } from '../../server/config/secrets.ts'
import { COMMAND_FILE } from '../command-file.ts'
import { startChild } from './child.ts'
import { reservePorts } from './ports.ts'
import { borrowRedis, ownRedis } from './redis.ts'
import type { MakeWorld, Member } from './world.ts'

const isReady = (line: string): boolean => line.startsWith('{"ready":true')

const startMember = async (
  { name, args, port, data }: { name: string; args: readonly string[]; port: number; data: string },
  env: Record<string, string>,
  { owned, signal }: { owned: ReleaseStack; signal: AbortSignal },
): Promise<Member> => {
  const start = () =>
    startChild({
      name,
      command: process.execPath,
      args: [
        ...[COMMAND_FILE, 'serve', ...args, '--host', '127.0.0.1', '--port', `${port}`, '--data', data],
        ...['--metrics', 'off', '--log-level', 'error', '--limits', 'off'],
      ],
      env,
      isReady,
      signal,
    })
  let running = await start()
  owned.defer(() => running.kill())
  return {
    url: `http://127.0.0.1:${port}`,
    get pid() {
      return running.pid
    },
    kill: () => running.kill(),
    async startAgain() {
      running = await start()
    },
  }
}

/** `redisUrl`: an empty one that is there already. */
export const fleetWorld =
  (redisUrl: string | undefined): MakeWorld =>
  async ({ owned, page, signal }) => {
    const directory = await mkdtemp(join(tmpdir(), 'belfry-demo-'))
    owned.defer(() => rm(directory, { recursive: true, force: true }))
    const given = redisUrl === undefined ? undefined : { url: redisUrl }
    if (given) await borrowRedis(given.url, owned)
    const reserved = owned.use(reservePorts())
    const redis =
      given ?? (await ownRedis(join(directory, 'redis'), await reserved.next(), { owned, signal }))

    page.line('Belfry: two relays and two notify servers on one Redis, one dapp, one account on two devices.')
    page.step('The servers start, each in a process of its own')
    page.said('pid' in redis ? `Redis at ${redis.url} (process ${redis.pid}).` : 'Redis is there, and empty.')

    const ports: number[] = []
    while (ports.length < 4) ports.push(await reserved.next())
    const [url0 = '', url1 = '', url2 = '', url3 = ''] = ports.map((port) => `http://127.0.0.1:${port}`)
    // All of them, and nothing else: what is set where the demo is typed is not meant for it.
    const secret = randomBytes(32).toString('hex')
    const env = {
      REDIS_URL: redis.url,
      BELFRY_SECRET: secret,
      // To wallets they are one server, which has one name.
      BELFRY_PUBLIC_URL: url2,
      BELFRY_ALIASES: [url0, url1, url3].join(','),
    }
    const start = async (name: string, at: number, args: readonly string[]): Promise<Member> => {
      const data = join(directory, `${at}`)
      const member = await startMember({ name, args, port: ports[at] ?? 0, data }, env, { owned, signal })
      page.said(`${name} at ${member.url} (process ${member.pid}).`)
      return member
    }
    const relay = ['--rooms', 'relay']
    const notify = ['--rooms', 'notify,keys', '--relay-shared', 'true', '--relay-url']
    const relay1 = await start('Relay 1', 0, relay)
    const relay2 = await start('Relay 2', 1, relay)
    const notify1 = await start('Notify server 1', 2, [...notify, relay1.url])
    const notify2 = await start('Notify server 2', 3, [...notify, relay2.url])
    page.said('The phone uses relay 1, the laptop relay 2, and the dapp both notify servers in turns.')

    const at = (own: Member, server: Member) => ({
      relayUrl: own.url,
      notifyUrl: server.url,
      keysUrl: server.url,
    })
    // Every process derives the same project from the secret.
    const id = defaultProjectId(Buffer.from(secret))
    return {
      project: { id, secret: projectSecret(Buffer.from(secret), id) },
      phone: at(relay1, notify1),
      laptop: at(relay2, notify2),
      notifyUrls: [notify1.url, notify2.url],
      mortal: { laptopRelay: relay2, notify: notify1 },
    }
  }
