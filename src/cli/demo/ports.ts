/**
 * Ports that nobody else takes before they are used, or while a server that was killed starts again on its own. What
 * the system calls a free port may be given away a moment later; these lie below all that it gives away, in blocks, and
 * a block belongs to the process that listens on its first port.
 */
import { createServer, type Server } from 'node:net'

/** Browsers and `fetch` refuse 10080. */
const FIRST_PORT = 10_100
/**
 * The system gives away ports from 32,768 (Linux) or 49,152 (macOS, Windows) on. The bus of a Redis Cluster's node
 * listens 10,000 above its port: there is room for it between.
 */
const END_PORT = 20_000
const BLOCK_SIZE = 100
const BLOCKS = (END_PORT - FIRST_PORT) / BLOCK_SIZE

export interface Ports extends Disposable {
  /** Gives each port once. Throws where all blocks are taken. */
  next(): Promise<number>
}

/** Undefined where another program uses the port, or this one may not. */
const listenOn = (port: number): Promise<Server | undefined> =>
  new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(undefined))
    // Owning a block keeps no process alive.
    server.listen(port, '127.0.0.1', () => resolve(server.unref()))
  })

const isFree = async (port: number): Promise<boolean> => {
  const server = await listenOn(port)
  if (!server) return false
  await new Promise((resolve) => server.close(resolve))
  return true
}

/** The ports are this process's until they are disposed of, or it ends. */
export const reservePorts = (): Ports => {
  const owners: Server[] = []
  const left: number[] = []
  // Those who begin at the same time do not stand in each other's way.
  let block = Math.floor(Math.random() * BLOCKS)

  const takeBlock = async () => {
    for (let tries = 0; tries < BLOCKS; tries++) {
      const first = FIRST_PORT + (block++ % BLOCKS) * BLOCK_SIZE
      const owner = await listenOn(first)
      if (!owner) continue
      owners.push(owner)
      for (let port = first + 1; port < first + BLOCK_SIZE; port++) left.push(port)
      return
    }
    throw new Error(`All ports from ${FIRST_PORT} to ${END_PORT - 1} are taken`)
  }

  return {
    async next() {
      for (;;) {
        const port = left.shift()
        if (port === undefined) await takeBlock()
        else if (await isFree(port)) return port
      }
    },
    [Symbol.dispose]() {
      for (const owner of owners) owner.close()
    },
  }
}
