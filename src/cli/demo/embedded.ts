/** The world in this process: every room, on a new embedded store. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { composeServer } from '../../server/compose.ts'
import { configWith } from '../../server/config/config.ts'
import { NO_RATE_LIMITS } from '../../server/config/settings/rate-limits.ts'
import { DemoFailure } from './page.ts'
import type { MakeWorld } from './world.ts'

export const embeddedWorld: MakeWorld = async ({ owned, page, signal }) => {
  const directory = await mkdtemp(join(tmpdir(), 'belfry-demo-'))
  owned.defer(() => rm(directory, { recursive: true, force: true }))

  page.line('Belfry: one server, one dapp, and one account on two devices, over real sockets.')
  page.step('The server starts')
  const server = await composeServer(
    configWith({
      ...{ port: 0, host: '127.0.0.1', data: directory, metrics: 'off', logLevel: 'silent' },
      // A story is told faster than people ask.
      limits: NO_RATE_LIMITS,
    }),
    { signal },
  )
  owned.defer(() => server.stop())
  await server.ready()
  const { project, loopbackUrl: url } = server
  if (!project) throw new DemoFailure('The server has no project.')
  page.said(`Relay, keys and notify server at ${url}, with a new store on disk.`)
  const servers = { relayUrl: url, notifyUrl: url, keysUrl: url }
  return { project, phone: servers, laptop: servers, notifyUrls: [url] }
}
