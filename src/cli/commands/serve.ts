import { defaultOf } from '../../server/config/config.ts'
import { ROOM_SETTINGS } from '../../server/config/settings/rooms.ts'
import { SERVER_SETTINGS } from '../../server/config/settings/server.ts'
import { SETTING_NAMES, settingOf } from '../../server/config/settings.ts'
import { type Args, defineCommand } from '../command.ts'

const headingOf = (name: string): string =>
  name in SERVER_SETTINGS ? 'The server:' : name in ROOM_SETTINGS ? 'Its rooms:' : 'Operation:'

/** Every setting that has a flag. */
export const settingFlags: Args = Object.fromEntries(
  SETTING_NAMES.flatMap((name) => {
    const { flag, env, hint, about } = settingOf(name)
    const description = `${about} [${env}; ${defaultOf(name)}]`
    if (flag === undefined) return []
    return [[flag, { type: 'string' as const, valueHint: hint, description, group: headingOf(name) }]]
  }),
)

export const serve = defineCommand({
  args: {
    json: { type: 'boolean', description: 'Log and say that it is ready in JSON, on a terminal too' },
    ...settingFlags,
  },
  examples: ['serve', 'serve --port 9000 --data /var/lib/belfry', 'serve --config belfry.yaml'],
  async run({ one, on }) {
    // Loaded only here: the other commands need no server.
    const { run } = await import('../../server/run.ts')
    await run(one, { isJson: on.has('json') })
  },
})
