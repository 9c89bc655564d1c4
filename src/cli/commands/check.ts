import * as z from 'zod'
import { defaultOf, readConfig, settingsTable } from '../../server/config/config.ts'
import { writtenAddress } from '../../server/config/settings/address.ts'
import { SETTING_NAMES, settingOf } from '../../server/config/settings.ts'
import { print, printJson } from '../admin-client.ts'
import { type Args, defineCommand } from '../command.ts'
import { settingFlags } from './serve.ts'

const flags: Args = {
  ...settingFlags,
  json: { type: 'boolean', description: 'Print JSON and nothing else' },
  markdown: { type: 'boolean', description: 'Print the table of all settings, as Markdown' },
}

const address = z.strictObject({ host: z.string(), port: z.number() })

/** As it could be typed. */
const written = (value: unknown): string => {
  const named = address.safeParse(value)
  return named.success ? writtenAddress(named.data) : writtenRules(value)
}

const writtenRules = (value: unknown): string =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.entries(value)
        .map(([name, rule]) => `${name}: ${rule}`)
        .join('; ')
    : String(value)

export const check = defineCommand({
  args: flags,
  run({ one, on }) {
    if (on.has('markdown')) return print(settingsTable())
    const { config, origins } = readConfig(one)
    const rows = SETTING_NAMES.map((name) => {
      const value = config[name]
      const { isSecret, flag, env } = settingOf(name)
      const origin = origins[name]
      const text =
        value === undefined ? defaultOf(name) : isSecret ? '(set)' : written(value) || defaultOf(name)
      return { name, value: text, origin, flag: flag === undefined ? null : `--${flag}`, env }
    })
    if (on.has('json')) {
      return printJson({ settings: rows, apps: config.apps.map(({ domain }) => domain) })
    }
    const width = Math.max(...SETTING_NAMES.map(({ length }) => length)) + 2
    for (const { name, value, origin } of rows) print(`${name.padEnd(width)}${value}  (${origin})`)
    for (const { domain } of config.apps) print(`${'app'.padEnd(width)}${domain}`)
  },
})
