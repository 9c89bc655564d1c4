import { type ArgsDef, defineCommand } from 'citty'
import { defaultOf } from '../../server/config/config.ts'
import { SETTING_NAMES, settingOf } from '../../server/config/settings.ts'
import { readTyped } from '../flags.ts'

/** Every setting that has a flag. */
export const settingFlags: ArgsDef = Object.fromEntries(
  SETTING_NAMES.flatMap((name) => {
    const { flag, env, hint, about } = settingOf(name)
    const description = `${about} [${env}; ${defaultOf(name)}]`
    return flag === undefined ? [] : [[flag, { type: 'string' as const, valueHint: hint, description }]]
  }),
)

export const serve = defineCommand({
  meta: { name: 'serve', description: 'Run the server' },
  args: settingFlags,
  async run({ rawArgs }) {
    const { one } = readTyped(rawArgs, settingFlags)
    // Loaded only here: the other commands need no server.
    const { run } = await import('../../server/run.ts')
    await run(one)
  },
})
