/**
 * The command line. A command is loaded when it is typed, so that a start does not pay for the others.
 *
 * | exit code | when                                                                              |
 * |-----------|-----------------------------------------------------------------------------------|
 * | 0         | done                                                                              |
 * | 1         | not done; stderr says why, in a sentence                                          |
 * | 2         | the command line makes no sense; stderr says where its help is                    |
 * | 130, 143  | interrupted by Ctrl-C, by SIGTERM; `serve`, `listen` and `mcp` end with 0 then           |
 * | 141       | whoever read the output has gone, as in `belfry app list | head -1`               |
 */
import { type Command, CommanderError } from 'commander'
import { codeOf, StartError } from '../server/config/start-error.ts'
import { readVersion } from '../server/version.ts'
import { type CommandBody, createRoot, filled, UsageError } from './command.ts'
import { CommandFailure } from './command-failure.ts'

interface Listed {
  name: string
  description: string
  load(): Promise<CommandBody>
}

/** By heading, in the order of help. */
const COMMANDS: Record<string, Listed[]> = {
  'Begin:': [
    {
      name: 'serve',
      description: 'Run the server',
      load: () => import('./commands/serve.ts').then(({ serve }) => serve),
    },
    {
      name: 'doctor',
      description: 'Look for what is wrong with the settings, this machine, the server and what is around it',
      load: () => import('./commands/doctor.ts').then(({ doctor }) => doctor),
    },
    {
      name: 'demo',
      description: 'The main story on one page, on servers of its own',
      load: () => import('./commands/demo.ts').then(({ demo }) => demo),
    },
    {
      name: 'completion',
      description: 'A script with which a shell completes commands and flags',
      load: () =>
        import('./completion/command.ts').then(({ createCompletion }) => createCompletion(wholeProgram)),
    },
  ],
  'Apps and notifications:': [
    {
      name: 'app',
      description: 'Apps that wallets can subscribe to',
      load: () => import('./commands/app.ts').then(({ app }) => app),
    },
    {
      name: 'subscribers',
      description: 'Who is subscribed to an app, and to which types; a page',
      load: () => import('./commands/subscribers.ts').then(({ subscribers }) => subscribers),
    },
    {
      name: 'listen',
      description: 'Subscribe to an app with a key of its own, and print what comes',
      load: () => import('./commands/listen.ts').then(({ listen }) => listen),
    },
    {
      name: 'notify',
      description: 'Send a notification',
      load: () => import('./commands/notify.ts').then(({ notify }) => notify),
    },
    {
      name: 'push',
      description: 'How providers of pushes are, their credentials, a push to try',
      load: () => import('./commands/push.ts').then(({ push }) => push),
    },
    {
      name: 'import',
      description: 'Bring apps over from another service',
      load: () => import('./commands/operators/import/walletconnect.ts').then(({ imports }) => imports),
    },
    {
      name: 'broadcast',
      description: 'Send a notification to all subscribers, and show how far it is',
      load: () => import('./commands/broadcast.ts').then(({ broadcast }) => broadcast),
    },
  ],
  'Agents:': [
    {
      name: 'mcp',
      description: 'Serve an agent over the Model Context Protocol: notify, ask, read an inbox',
      load: () => import('./commands/agents/mcp.ts').then(({ mcp }) => mcp),
    },
  ],
  'People and projects:': [
    {
      name: 'project',
      description: 'Projects: their secrets, limits and quotas',
      load: () => import('./commands/project.ts').then(({ projectGroup }) => projectGroup),
    },
    {
      name: 'account',
      description: 'What is kept about an account',
      load: () => import('./commands/account.ts').then(({ account }) => account),
    },
    {
      name: 'keys',
      description: 'Registered identity keys',
      load: () => import('./commands/keys.ts').then(({ keys }) => keys),
    },
    {
      name: 'settings',
      description: 'What a project or an app is set to',
      load: () => import('./commands/projects/settings.ts').then(({ settings }) => settings),
    },
    {
      name: 'welcome',
      description: 'What every new subscriber of an app gets',
      load: () => import('./commands/projects/welcome.ts').then(({ welcome }) => welcome),
    },
    {
      name: 'webhook',
      description: 'Where a project is told what happens',
      load: () => import('./commands/projects/webhook.ts').then(({ webhook }) => webhook),
    },
  ],
  'Operation:': [
    {
      name: 'usage',
      description: 'Who holds how much of the store',
      load: () => import('./usage.ts').then(({ usage }) => usage),
    },
    {
      name: 'topic',
      description: 'One topic of the relay',
      load: () => import('./commands/topic.ts').then(({ topic }) => topic),
    },
    {
      name: 'audit',
      description: 'What operators did, the newest first',
      load: () => import('./commands/operators/audit.ts').then(({ audit }) => audit),
    },
    {
      name: 'rotate',
      description: 'Replace keys; the former ones go on to count for a while',
      load: () => import('./commands/rotate.ts').then(({ rotate }) => rotate),
    },
    {
      name: 'reseal',
      description: 'Seal everything at rest with the present secret; again, to go on',
      load: () => import('./commands/reseal.ts').then(({ reseal }) => reseal),
    },
  ],
  'The store:': [
    {
      name: 'backup',
      description: 'Write everything that a store holds into a file',
      load: () => import('./commands/backup.ts').then(({ backup }) => backup),
    },
    {
      name: 'restore',
      description: 'Put a backup into an empty store',
      load: () => import('./commands/restore.ts').then(({ restore }) => restore),
    },
    {
      name: 'migrate',
      description: 'Copy everything from one store to another; again, to go on. Servers are stopped before',
      load: () => import('./commands/migrate.ts').then(({ migrate }) => migrate),
    },
  ],
}

/** All commands by name; those that are wanted with what they do. */
const programWith = async (isWanted: (name: string) => boolean): Promise<Command> => {
  const root = createRoot()
    .description('Encrypted notifications for wallets and dapps, on a server of your own')
    .usage('<command>')
    .version(readVersion(), '-V, --version', 'Show the version of the package')
    .addHelpText('after', '\nHelp about a command: belfry <command> --help')
  for (const [heading, listed] of Object.entries(COMMANDS)) {
    for (const { name, description, load } of listed) {
      const command = root.command(name).description(description).helpGroup(heading)
      if (isWanted(name)) filled(command, await load())
    }
  }
  return root
}

/** The command that is typed alone: a start does not pay for the others. */
const programFor = (typed: string | undefined): Promise<Command> => programWith((name) => name === typed)
const wholeProgram = (): Promise<Command> => programWith(() => true)

/** The words that name a command, as far as they do; help for one that does not exist is a mistake. */
const withoutHelpOfNothing = (root: Command, words: readonly string[]): readonly string[] => {
  let command = root
  for (const [at, word] of words.entries()) {
    if (command.commands.length === 0 || word.startsWith('-')) break
    const next = command.commands.find((one) => one.name() === word)
    if (!next) return words.slice(0, at + 1)
    command = next
  }
  return words
}

const runWords = async (words: readonly string[]): Promise<void> => {
  const root = await programFor(words[0])
  await root.parseAsync(withoutHelpOfNothing(root, words), { from: 'user' })
}

/** commander's sentence as ours are, with its suggestion behind it. */
const sentenceOf = (error: CommanderError): string => {
  const [first = '', ...more] = error.message.replace(/^error: /, '').split('\n')
  const sentence = `${first.charAt(0).toUpperCase()}${first.slice(1)}`
  return [sentence, ...more].join(' ').trim()
}

/** The help that belongs to the words: that of the commands which they name. */
const helpFor = async (words: readonly string[]): Promise<string> => {
  let command = await programFor(words[0])
  const named: string[] = []
  for (const word of words) {
    const next = command.commands.find((one) => one.name() === word)
    if (!next) break
    command = next
    named.push(word)
  }
  return ['belfry', ...named, '--help'].join(' ')
}

const fail = (code: number, sentence: string): void => {
  process.exitCode = code
  process.stderr.write(`${sentence}\n`)
}

/**
 * Whoever reads the output may go away, and a file that it goes into may be on a full disk: then a command has nobody to work
 * for. A server has others; `listen` and `mcp` listen themselves, and end in good order.
 */
const endWithReader = (isServer: boolean): void => {
  const onError = (error: Error): void => {
    if (isServer) return
    const isGone = codeOf(error) === 'EPIPE'
    if (!isGone) fail(1, `The output cannot be written: ${error.message}`)
    if (process.stdout.listenerCount('error') === 1) process.exit(isGone ? 141 : 1)
  }
  for (const stream of [process.stdout, process.stderr]) {
    // Once, however often commands run in this process.
    if (stream.listenerCount('error') === 0) stream.on('error', onError)
  }
}

/** Sets the exit code. */
export const run = async (words: readonly string[]): Promise<void> => {
  endWithReader(words[0] === 'serve')
  try {
    await runWords(words)
  } catch (error) {
    if (error instanceof CommanderError) {
      // `--help` and `--version` have been printed.
      if (error.exitCode === 0) return
      const sentence = error.code === 'commander.help' ? 'Which command?' : sentenceOf(error)
      fail(2, `${sentence}\nSee: ${await helpFor(words)}`)
    } else if (error instanceof UsageError) fail(2, `${error.message}\nSee: ${await helpFor(words)}`)
    else if (error instanceof StartError || error instanceof CommandFailure) fail(1, error.message)
    else fail(1, error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
}
