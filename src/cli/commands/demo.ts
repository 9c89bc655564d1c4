/**
 * `belfry demo`: the main story on one page, over real sockets, on one server or with `--redis` on many processes. Every
 * line is printed when what it says has happened. Nothing is left behind: not by the end, not by a failure, and not by
 * Ctrl-C.
 */
import { constants } from 'node:os'
import { type ArgsDef, defineCommand } from 'citty'
import { createReleaseStack } from '../../platform/runtime/release-stack.ts'
import { redisUrlFrom } from '../../server/config/config.ts'
import { embeddedWorld } from '../demo/embedded.ts'
import { fleetWorld } from '../demo/fleet.ts'
import { createPage } from '../demo/page.ts'
import { runPushStory } from '../demo/push.ts'
import { runStory } from '../demo/story.ts'
import type { MakeWorld } from '../demo/world.ts'
import { readTyped, UsageError } from '../flags.ts'

/** Without a world it is the story of push. Rejects when something does not happen as told, or when the signal ends it; everything is released by then. */
const runDemo = async (
  makeWorld: MakeWorld | undefined,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> => {
  const page = createPage(print, signal)
  {
    await using owned = createReleaseStack()
    const deps = { owned, page, signal }
    if (makeWorld) await runStory(await makeWorld(deps), deps)
    else await runPushStory(deps)
  }
  print('')
  print(`All of it worked, in ${(page.elapsed() / 1000).toFixed(1)} s.`)
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

const flags = {
  redis: {
    type: 'boolean',
    description: 'With two relays and two notify servers on Redis, some of them killed on the way',
  },
  push: { type: 'boolean', description: 'The story of a locked phone that is woken' },
  url: {
    type: 'positional',
    required: false,
    description: 'An empty Redis to use [REDIS_URL; one that is started for it]',
  },
} as const satisfies ArgsDef

export const demo = defineCommand({
  meta: { name: 'demo', description: 'The main story on one page, on servers of its own' },
  args: flags,
  async run({ rawArgs }) {
    // Node's parser knows no flag with a value that may be absent.
    const words = rawArgs.flatMap((word) =>
      word.startsWith('--redis=') ? ['--redis', word.slice('--redis='.length)] : [word],
    )
    const { on, rest } = readTyped(words, flags)
    if (rest.length > 0 && !on.has('redis')) throw new UsageError('A URL is for --redis')
    const world = on.has('redis') ? fleetWorld(redisUrlFrom(rest[0])) : embeddedWorld
    const makeWorld = on.has('push') ? undefined : world

    const interruption = new AbortController()
    const interrupt = (name: (typeof SIGNALS)[number]) => {
      process.exitCode = 128 + constants.signals[name]
      interruption.abort()
    }
    for (const name of SIGNALS) process.on(name, interrupt)
    try {
      await runDemo(makeWorld, (line) => void process.stdout.write(`${line}\n`), interruption.signal)
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
