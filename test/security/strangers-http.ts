/** Requests from an address of one's own on loopback, each of which is an owner where no proxy is trusted. */
import { readFile } from 'node:fs/promises'
import { Agent, type IncomingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'

export const STRANGER = '127.0.0.66'
export const BYSTANDER = '127.0.0.10'

export interface Said {
  status: number
  headers: IncomingHttpHeaders
  text: string
}

export interface Visitor extends Disposable {
  ask(method: string, path: string, body?: string): Promise<Said>
}

/** `connections`: how many it has at once. */
export const visitor = (url: string, address: string, connections = 4): Visitor => {
  const agent = new Agent({ keepAlive: true, maxSockets: connections, localAddress: address })
  return {
    ask: (method, path, body) =>
      new Promise((resolve, reject) => {
        const headers = { Connection: 'keep-alive', 'Content-Type': 'application/json' }
        const length = body === undefined ? {} : { 'Content-Length': Buffer.byteLength(body) }
        const outgoing = request(
          new URL(path, url),
          { agent, method, headers: { ...headers, ...length } },
          (answer) => {
            const chunks: Buffer[] = []
            answer.on('data', (chunk: Buffer) => chunks.push(chunk))
            answer.on('error', reject)
            answer.on('end', () =>
              resolve({
                status: answer.statusCode ?? 0,
                headers: answer.headers,
                text: Buffer.concat(chunks).toString(),
              }),
            )
          },
        )
        outgoing.on('error', reject)
        outgoing.end(body)
      }),
    [Symbol.dispose]: () => agent.destroy(),
  }
}

/** A connection from an address that says this and reads nothing. */
export const deafSocket = (url: string, address: string, bytes: string): Promise<Socket> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const socket = connect({ host: hostname, port: Number(port), localAddress: address })
    socket.on('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      socket.on('error', () => {})
      socket.pause()
      socket.write(bytes, () => resolve(socket))
    })
  })

/** Reads on after all, and gives the statuses of so many answers. */
export const statusesOf = (socket: Socket, count: number): Promise<number[]> =>
  new Promise((resolve, reject) => {
    const statuses: number[] = []
    let rest = ''
    socket.once('close', () => reject(new Error(`There were ${statuses.length} answers`)))
    socket.setEncoding('latin1')
    socket.on('data', (chunk) => {
      const text = `${rest}${chunk}`
      for (const [, status] of text.matchAll(/HTTP\/1\.1 (\d{3}) /g)) statuses.push(Number(status))
      // A status line that is cut in two.
      rest = text.slice(-16).replace(/HTTP\/1\.1 \d{3} /, '')
      if (statuses.length < count) return
      resolve(statuses)
      socket.destroy()
    })
    socket.resume()
  })

/** Resident memory of a process, bytes. */
export const residentBytes = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024
}

export const median = (numbers: readonly number[]): number =>
  [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN
