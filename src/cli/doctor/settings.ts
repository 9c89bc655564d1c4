/** The settings that `serve` would use, where each comes from, and names that are none of them. */
import * as z from 'zod'
import { type Config, defaultOf, type Origins, unknownNames } from '../../server/config/config.ts'
import { writtenAddress } from '../../server/config/settings/address.ts'
import { SETTING_NAMES, settingOf } from '../../server/config/settings.ts'
import { type Finding, ok, warning } from './finding.ts'

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

export interface SettingRow {
  name: string
  value: string
  origin: string
  flag: string | null
  env: string
}

/** No secret is in it. */
export const settingRows = (config: Config, origins: Origins): SettingRow[] =>
  SETTING_NAMES.map((name) => {
    const value = config[name]
    const { isSecret, flag, env } = settingOf(name)
    const text =
      value === undefined ? defaultOf(name) : isSecret ? '(set)' : written(value) || defaultOf(name)
    return { name, value: text, origin: origins[name], flag: flag === undefined ? null : `--${flag}`, env }
  })

/** How many letters differ, are missing, too many or exchanged with their neighbour. */
const distance = (a: string, b: string): number => {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, at) => at)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let i = 1; i <= a.length; i++) {
    rows.push([i])
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1]
      const isSwap = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      const least = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + (isSame ? 0 : 1))
      rows[i]?.push(isSwap ? Math.min(least, at(i - 2, j - 2) + 1) : least)
    }
  }
  return at(a.length, b.length)
}

const MAX_DISTANCE = 3

/** Variables of the environment that look like settings, and which are none. */
export const namesOfEnvironment = (): Finding[] => {
  const { unknown, known } = unknownNames()
  if (unknown.length === 0) return [ok('names', 'Every BELFRY_ variable of the environment is a setting.')]
  return unknown.map((name) => {
    const [nearest] = known
      .map((one) => ({ one, far: distance(name, one) }))
      .filter(({ far }) => far <= MAX_DISTANCE)
      .sort((a, b) => a.far - b.far)
    const advice = nearest
      ? `did you mean ${nearest.one}?`
      : 'remove it, or look it up with belfry serve --help.'
    return warning('names', `${name} is set, and there is no such setting: ${advice}`)
  })
}
