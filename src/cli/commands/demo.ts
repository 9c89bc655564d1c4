/**
 * `belfry demo`: the main story on one page, over real sockets, on one server or with `--redis` on many processes. Every
 * line is printed when what it says has happened. Nothing is left behind: not by the end, not by a failure, and not by
 * Ctrl-C.
 */
import { constants } from 'node:os'
import { createReleaseStack } from '../../platform/runtime/release-stack.ts'
import { redisUrlFrom } from '../../server/config/config.ts'
import { JSON_FLAG, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand } from '../command.ts'
import { embeddedWorld } from '../demo/embedded.ts'
import { fleetWorld } from '../demo/fleet.ts'
import { createPage } from '../demo/page.ts'
import { runPushStory } from '../demo/push.ts'
import { runStory } from '../demo/story.ts'
import type { MakeWorld } from '../demo/world.ts'

/** Without a world it is the story of push. Rejects when something does not happen as told, or when the signal ends it; everything is released by then. */
const runDemo = async (
  makeWorld: MakeWorld | undefined,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<number> => {
  const page = createPage(print, signal)
  {
    await using owned = createReleaseStack()
    const deps = { owned, page, signal }
    if (makeWorld) await runStory(await makeWorld(deps), deps)
    else await runPushStory(deps)
  }
  return page.elapsed()
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const flags = {
  redis: {
    type: 'optional',
    valueHint: 'URL',
    description:
      'With two relays and two notify servers on an empty Redis, some of them killed on the way [REDIS_URL; one that is started for it]',
  },
  push: { type: 'boolean', description: 'The story of a locked phone that is woken' },
  ...JSON_FLAG,
} as const satisfies Args

export const demo = defineCommand({
  args: flags,
  examples: ['demo', 'demo --redis', 'demo --push'],
  async run({ on, one }) {
    const isJson = on.has('json')
    const isFleet = on.has('redis') || one.redis !== undefined
    const world = isFleet ? fleetWorld(redisUrlFrom(one.redis)) : embeddedWorld
    const makeWorld = on.has('push') ? undefined : world

    const interruption = new AbortController()
    const interrupt = (name: (typeof SIGNALS)[number]) => {
      process.exitCode = 128 + constants.signals[name]
      interruption.abort()
    }
    for (const name of SIGNALS) process.on(name, interrupt)
    try {
      const took = await runDemo(makeWorld, isJson ? () => {} : (line) => print(line), interruption.signal)
      if (isJson) printJson({ isWell: true, seconds: took / 1000 })
      else print('', `All of it worked, in ${(took / 1000).toFixed(1)} s.`)
    } catch (error) {
      if (interruption.signal.aborted) {
        process.stderr.write('\nThe demo was interrupted; what it started has ended.\n')
        return
      }
      const sentence = error instanceof Error ? error.message : String(error)
      process.stderr.write(`\nThe demo failed: ${sentence}\n`)
      process.exitCode = 1
    } finally {
      for (const name of SIGNALS) process.off(name, interrupt)
    }
  },
})
