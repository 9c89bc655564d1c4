import { expect, it } from 'vitest'
import { generateSigningKey } from '../../src/protocol/keys.ts'
import { contactsClient } from '../../src/sdk/contacts.ts'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { sharedRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { temporaryHome } from '../support/story.ts'
import { HEX } from '../support/world/contacts.ts'

const KILLS = crowd(3, 2)
const DEVICES = 12
const SECRET = 'a secret of 32 bytes, or so it is'

it.each([
  ['LMDB', async () => ({})],
  ['Redis', async () => ({ REDIS_URL: (await sharedRedis()).url, BELFRY_SECRET: SECRET })],
])(
  'on %s a process that is killed keeps what it answered: granted ones stay, revoked ones stay away',
  { timeout: 120_000 },
  async (_, environment) => {
    await using home = await temporaryHome()
    const port = await freePort()
    const env = await environment()
    const start = () => startServerProcess(home.path, { port, env, args: ['--rooms', 'keys,contacts'] })
    let server = await start()
    const contacts = contactsClient({ url: server.url, serverDid: `did:web:localhost%3A${port}` })
    const granted: { did: string; value: string }[] = []
    const revoked: { did: string; value: string }[] = []
    const fetchAll = async (): Promise<Map<string, string[]>> => {
      const dids = [...new Set([...granted, ...revoked].map(({ did }) => did))]
      return new Map(await Promise.all(dids.map(async (did) => [did, await contacts.fetch(did)] as const)))
    }

    /** Grants two, revokes the first, until the server is gone; notes what was answered. */
    const live = async (): Promise<void> => {
      const identityKey = generateSigningKey()
      const { did } = identityKey
      for (let at = 0; at < 10; at++) {
        const [first, second] = [Uint8Array.of(at, 1), Uint8Array.of(at, 2)]
        const text = (value: Uint8Array) => Buffer.from(value).toString('hex')
        await contacts.grant(did, { name: HEX, value: first }, { identityKey })
        await contacts.grant(did, { name: HEX, value: second }, { identityKey })
        granted.push({ did, value: text(second) })
        await contacts.revoke(did, { name: HEX, value: first }, { identityKey })
        revoked.push({ did, value: text(first) })
      }
    }

    for (let kill = 0; kill < KILLS; kill++) {
      const before = revoked.length
      const living = Promise.allSettled(Array.from({ length: DEVICES }, live))
      // In the middle of it, a little later each time.
      await eventually(() => expect(revoked.length).toBeGreaterThan(before + DEVICES * (kill + 1)), 30_000)
      await server.end('SIGKILL')
      const outcomes = await living
      expect(outcomes.some(({ status }) => status === 'rejected')).toBe(true)
      server = await start()
      const kept = await fetchAll()
      for (const { did, value } of granted) expect(kept.get(did)).toContain(value)
      for (const { did, value } of revoked) expect(kept.get(did)).not.toContain(value)
    }
    expect(granted.length).toBeGreaterThan(KILLS * DEVICES)
    await server[Symbol.asyncDispose]()
  },
)
