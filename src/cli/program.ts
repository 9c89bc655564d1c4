/**
 * The command line. Exit codes: 0 done, 1 not done, 2 the command line makes no sense.
 *
 * | command                 | what it does                                  | needs a running server |
 * |-------------------------|-----------------------------------------------|------------------------|
 * | serve                   | runs the server                               |                        |
 * | app add, app list       | declares apps, lists them                     | yes                    |
 * | notify                  | sends a notification                          | yes                    |
 * | broadcast               | sends one to all subscribers, shows how far   | yes                    |
 * | keys list, keys show    | registered identity keys                      | yes                    |
 * | rotate server, app      | replaces keys, with an overlap                | yes                    |
 * | reseal                  | seals everything with the present secret      | yes; --new: no         |
 * | migrate                 | copies a store to another engine              | no: stop it            |
 * | backup, restore         | a store into a file, a file into a store      | backup: may be         |
 * | project …               | projects, their secrets, limits, quotas       | yes                    |
 * | account export, erase   | all that is kept about one account            | yes                    |
 * | usage                   | who holds how much of the store               | yes                    |
 * | topic show, topic clear | one topic of the relay                        | yes                    |
 * | push …                  | push: projects, credentials, a push to try    | yes                    |
 * | doctor                  | shows credentials to their providers          | yes                    |
 * | check                   | shows the configuration                       |                        |
 * | demo                    | the whole story, on servers of its own        |                        |
 *
 * `belfry --version` prints the version of the package.
 */
import { readFileSync } from 'node:fs'
import { type ArgsDef, type CommandDef, defineCommand, renderUsage, runCommand } from 'citty'
import * as z from 'zod'
import { StartError } from '../server/config/start-error.ts'
import { CommandFailure } from './admin-client.ts'
import { account } from './commands/account.ts'
import { app } from './commands/app.ts'
import { broadcast } from './commands/broadcast.ts'
import { check } from './commands/check.ts'
import { keys } from './commands/keys.ts'
import { notify } from './commands/notify.ts'
import { projectCommand } from './commands/project.ts'
import { doctor, push } from './commands/push.ts'
import { reseal } from './commands/reseal.ts'
import { rotate } from './commands/rotate.ts'
import { serve } from './commands/serve.ts'
import { topic } from './commands/topic.ts'
import { UsageError } from './flags.ts'
import { usage } from './usage.ts'

const main = defineCommand({
  meta: {
    name: 'belfry',
    description: 'Encrypted notifications for wallets and dapps, on a server of your own',
  },
  subCommands: {
    serve,
    app,
    notify,
    broadcast,
    keys,
    project: projectCommand,
    account,
    rotate,
    reseal,
    usage,
    topic,
    push,
    doctor,
    check,
    migrate: () => import('./commands/migrate.ts').then(({ migrate }) => migrate),
    backup: () => import('./commands/backup.ts').then(({ backup }) => backup),
    restore: () => import('./commands/restore.ts').then(({ restore }) => restore),
    demo: () => import('./commands/demo.ts').then(({ demo }) => demo),
  },
})

type AnyCommand = CommandDef<ArgsDef>

/** The command that the words lead to, its parent, and what is left of the words. */
const find = async (
  words: string[],
): Promise<{ command: AnyCommand; parent?: AnyCommand; rest: string[] }> => {
  let command: AnyCommand = main
  let parent: AnyCommand | undefined
  let rest = words
  for (;;) {
    const { subCommands } = command
    const [word] = rest
    if (typeof subCommands !== 'object' || word === undefined || word.startsWith('-')) break
    const next = Object.entries(subCommands).find(([name]) => name === word)?.[1]
    if (next === undefined) throw new UsageError(`Unknown command: ${word}`)
    parent = command
    command = await (typeof next === 'function' ? next() : next)
    rest = rest.slice(1)
  }
  return { command, rest, ...(parent && { parent }) }
}

/** The same file from `src/cli` and from `dist/cli`. */
const version = (): string => {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version
}

const runWords = async (words: string[]): Promise<void> => {
  if (words.length === 1 && words[0] === '--version') {
    process.stdout.write(`${version()}\n`)
    return
  }
  const { command, parent, rest } = await find(words)
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${await renderUsage(command, parent)}\n`)
    return
  }
  if (command.run === undefined) {
    process.stderr.write(`${await renderUsage(command, parent)}\n`)
    throw new UsageError(rest.length > 0 ? `Unexpected: ${rest[0]}` : 'Which command?')
  }
  await runCommand(command, { rawArgs: rest })
}

const isUsage = (error: unknown): error is Error =>
  error instanceof UsageError || (error instanceof Error && error.name === 'CLIError')

/** Sets the exit code. */
export const run = async (words: string[]): Promise<void> => {
  try {
    await runWords(words)
  } catch (error) {
    if (isUsage(error)) {
      process.exitCode = 2
      process.stderr.write(`${error.message}\nSee: belfry --help\n`)
    } else if (error instanceof StartError || error instanceof CommandFailure) {
      process.exitCode = 1
      process.stderr.write(`${error.message}\n`)
    } else {
      process.exitCode = 1
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    }
  }
}
