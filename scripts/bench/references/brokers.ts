/** Brokers that people would use instead, where they are on the PATH: each on a directory of its own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { eventually } from '../../../test/support/eventually.ts'
import { freePort } from '../../../test/support/process.ts'
import { cpuOf } from '../process-figures.ts'

export interface Broker extends AsyncDisposable {
  url: string
  /** How long it has computed since it started, in seconds. */
  cpu(): Promise<number>
}

/** `/usr/sbin` is not on everybody's PATH, and servers are there. */
const onPath = (name: string): string | undefined =>
  [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

const answersAt = async (port: number): Promise<void> => {
  const socket = createConnection(port, '127.0.0.1')
  await once(socket, 'connect')
  socket.destroy()
}

/** Undefined: it is not installed. */
const start = async (
  name: string,
  scheme: string,
  argsOf: (folder: string, port: number) => Promise<string[]>,
): Promise<Broker | undefined> => {
  const program = onPath(name)
  if (program === undefined) return undefined
  const folder = await mkdtemp(join(tmpdir(), `${name}-bench-`))
  const port = await freePort()
  const child = spawn(program, await argsOf(folder, port), { stdio: 'ignore' })
  const ended = once(child, 'exit')
  await eventually(() => answersAt(port))
  return {
    url: `${scheme}://127.0.0.1:${port}`,
    cpu: () => cpuOf(child.pid),
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM')
      await ended
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** In memory, as it is by default; what waits for a client that is away is not bounded. */
export const startMosquitto = () =>
  start('mosquitto', 'mqtt', async (folder, port) => {
    const file = join(folder, 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'max_queued_messages 0',
      'log_type none',
    ]
    await writeFile(file, `${lines.join('\n')}\n`)
    return ['-c', file]
  })

/** Streams are kept in files, and written to the disk as often as it does by default. */
export const startJetStream = () =>
  start('nats-server', 'nats', async (folder, port) => [
    ...['-a', '127.0.0.1', '-p', `${port}`, '-js', '-sd', folder],
  ])
