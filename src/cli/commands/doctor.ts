/** `belfry doctor`: looks for what is wrong with the settings, this machine, the running server and what is around it. */
import { styleText } from 'node:util'
import {
  type Config,
  commandLineAccess,
  type Origins,
  readConfig,
  settingsTable,
} from '../../server/config/config.ts'
import { readAdminAccess } from '../../server/config/data-dir.ts'
import { StartError } from '../../server/config/start-error.ts'
import { ACCESS_FLAGS, type Ask, createAsk, JSON_FLAG, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, type Typed, UsageError } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import { type Finding, failed, ok, skipped } from '../doctor/finding.ts'
import { otherRelay, publicAddress } from '../doctor/network.ts'
import { dataDirectory, diskSpace, embeddedStore, ports, secretOnDisk } from '../doctor/place.ts'
import { redisStore } from '../doctor/redis.ts'
import { keysOfApps, pushCredentials, serverState, webhooksOfProjects } from '../doctor/server.ts'
import { namesOfEnvironment, settingRows } from '../doctor/settings.ts'
import { settingFlags } from './serve.ts'

const { server, token } = ACCESS_FLAGS
const flags: Args = {
  ...JSON_FLAG,
  settings: {
    type: 'boolean',
    description: 'Only show the settings that serve would use, and where they come from',
  },
  markdown: { type: 'boolean', description: 'Only print the table of all settings, as Markdown' },
  ...{ server, token },
  ...settingFlags,
}

const COLOURS = { ok: 'green', skipped: 'gray', warning: 'yellow', failed: 'red' } as const

const printFinding = ({ about, state, says }: Finding): void => {
  const mark = state.padEnd(8)
  print(`${process.stdout.isTTY ? styleText(COLOURS[state], mark) : mark} ${about}: ${says}`)
}

const read = (one: Typed['one']): { config: Config; origins: Origins } | readonly string[] => {
  try {
    return readConfig(one)
  } catch (error) {
    if (error instanceof StartError) return error.sentences
    throw error
  }
}

/** The server that is asked: the named one, else the one that runs on the data directory. */
const runningAt = (one: Typed['one'], { data }: Config): string | undefined =>
  commandLineAccess(one).url ?? readAdminAccess(data)?.url

/** What the process does not have is not looked at. */
const whereThereIs = async (about: string, look: Promise<Finding[]>): Promise<Finding[]> => {
  try {
    return await look
  } catch (error) {
    if (!(error instanceof CommandFailure)) throw error
    const isAbsent = /this process has no \w+ room/.test(error.message)
    return [
      isAbsent ? skipped(about, 'The server that was asked has no such room.') : failed(about, error.message),
    ]
  }
}

const atServer = async (one: Typed['one'], url: string): Promise<Finding[]> => {
  let ask: Ask
  try {
    ask = createAsk({ one })
  } catch (error) {
    if (error instanceof CommandFailure || error instanceof UsageError)
      return [failed('server', error.message)]
    throw error
  }
  return [
    ...(await whereThereIs('did.json', keysOfApps(ask, url))),
    ...(await whereThereIs('webhooks', webhooksOfProjects(ask))),
    ...(await whereThereIs('push', pushCredentials(ask))),
  ]
}

const examine = async (one: Typed['one'], config: Config): Promise<Finding[]> => {
  const url = runningAt(one, config)
  const said = await serverState(url)
  const isServed = said !== undefined
  const missing =
    commandLineAccess(one).url === undefined
      ? skipped('server', `None runs on ${config.data}: apps and webhooks were not looked at.`)
      : failed('server', `No server answers at ${url}.`)
  return [
    ...secretOnDisk(config),
    ...dataDirectory(config),
    ...(await diskSpace(config)),
    ...(await embeddedStore(config, isServed)),
    ...(await redisStore(config)),
    ...(await ports(config, isServed)),
    ...(await publicAddress(config, isServed ? url : undefined)),
    ...(await otherRelay(config)),
    ...(said ?? [missing]),
    ...(isServed && url !== undefined ? await atServer({ data: config.data, ...one }, url) : []),
  ]
}

const printSettings = ({ config, origins }: { config: Config; origins: Origins }, isJson: boolean): void => {
  const rows = settingRows(config, origins)
  const domains = config.apps.map(({ domain }) => domain)
  if (isJson) return void printJson({ settings: rows, apps: domains })
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2
  for (const { name, value, origin } of rows) print(`${name.padEnd(width)}${value}  (${origin})`)
  for (const domain of domains) print(`${'app'.padEnd(width)}${domain}`)
}

const summary = (findings: readonly Finding[]): void => {
  const count = (state: Finding['state']) => findings.filter((one) => one.state === state).length
  const [wrong, doubtful] = [count('failed'), count('warning')]
  if (wrong > 0) throw new CommandFailure(`${wrong} to put right, ${doubtful} to look at.`)
}

export const doctor = defineCommand({
  args: flags,
  examples: ['doctor', 'doctor --settings', 'doctor --public-url https://belfry.example.com --json'],
  async run({ one, on }) {
    if (on.has('markdown')) return print(settingsTable())
    const found = read(one)
    if (on.has('settings')) {
      if (!('config' in found)) throw new StartError(found)
      return printSettings(found, on.has('json'))
    }
    const names = namesOfEnvironment()
    const findings =
      'config' in found
        ? [ok('settings', 'They make sense.'), ...names, ...(await examine(one, found.config))]
        : [...found.map((sentence) => failed('settings', sentence)), ...names]
    if (on.has('json')) printJson({ isWell: findings.every(({ state }) => state !== 'failed'), findings })
    else for (const finding of findings) printFinding(finding)
    summary(findings)
  },
})
