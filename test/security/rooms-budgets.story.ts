/** One address asks and does not read, and opens connections: what it holds is bounded, and whoever is elsewhere goes on. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { digestOf } from '../../src/contacts/erc1056.ts'
import { toHex } from '../../src/protocol/bytes.ts'
import { eventually } from '../support/eventually.ts'
import { type ServerProcess, startServerProcess } from '../support/process.ts'
import { newSigner } from '../support/world/contacts.ts'
import { BYSTANDER, deafSocket, residentBytes, STRANGER, statusesOf, visitor } from './strangers-http.ts'

const HEX = 'xmtp/installation/hex'
const MIB = 1024 * 1024

/** With the budgets that are the default. No proxy is trusted, so that each address of loopback is its own. */
const startServer = async () => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-budgets-'))
  const server = await startServerProcess(dir, {
    args: ['--rooms', 'keys,contacts,sessions'],
    env: { BELFRY_BUDGETS: '', BELFRY_TRUSTED_PROXIES: 'none' },
  })
  return {
    ...server,
    pid: server.pid,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      await rm(dir, { recursive: true, force: true })
    },
  }
}

it('answers that one address does not read take so much memory and no more', async () => {
  await using server = await startServer()
  using bystander = visitor(server.url, BYSTANDER)
  const { did } = await fillAccount(server)
  const methods = ['fetchKeyPackages', 'xps_fetchKeyPackages', 'xps_fetchKeyPackages']
  const body = JSON.stringify(methods.map((method, id) => ({ jsonrpc: '2.0', id, method, params: { did } })))
  const size = (await bystander.ask('POST', '/rpc/v1', body)).text.length
  expect(size).toBeGreaterThan(3 * MIB)
  const before = await residentBytes(server.pid)

  const head = `POST /rpc/v1 HTTP/1.1\r\nHost: belfry\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`
  // Six at once in each, because the system itself has room for one or two.
  const deaf = await Promise.all(
    Array.from({ length: 16 }, () => deafSocket(server.url, STRANGER, (head + body).repeat(6))),
  )
  // Behind everything that the stranger has asked.
  for (let at = 0; at < 2; at++) expect((await bystander.ask('POST', '/rpc/v1', body)).text.length).toBe(size)
  const grown = (await residentBytes(server.pid)) - before
  const statuses = (await Promise.all(deaf.map((socket) => statusesOf(socket, 6)))).flat()
  expect(statuses).toHaveLength(96)
  // How many the system itself has room for depends on its buffers; the others are refused, or wait unanswered.
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0)
  expect(grown).toBeLessThan(128 * MIB)
  // A hundred answers of 3 MiB are written by one core, and read by another.
}, 120_000)

it('requests that are sent on and on, probes or refused ones, neither hold others up nor fill the memory', async () => {
  await using server = await startServer()
  using bystander = visitor(server.url, BYSTANDER)
  const port = Number(new URL(server.url).port)
  const before = await residentBytes(server.pid)
  for (const path of ['/health', '/ready', '/nowhere']) {
    const request = `GET ${path} HTTP/1.1\r\nHost: belfry\r\n\r\n`
    // 64 KiB is what the server takes from one connection before it looks at the next one.
    const bytes = request.repeat(Math.floor(65_536 / request.length))
    const flood = () =>
      new Promise<void>((resolve) => {
        const socket = connect({ host: '127.0.0.1', port, localAddress: STRANGER })
        // It may be cut before it has said all.
        socket.on('error', () => {})
        socket.once('close', () => resolve())
        socket.resume().write(bytes)
      })
    const flooding = Promise.all(Array.from({ length: 200 }, flood))
    for (let at = 0; at < 10; at++) expect((await bystander.ask('GET', '/health')).status).toBe(200)
    // Each is cut, instead of 300,000 answers.
    await flooding
  }
  expect((await residentBytes(server.pid)) - before).toBeLessThan(128 * MIB)
}, 60_000)

it('connections of one address are so many, and another address still has its own', async () => {
  await using server = await startServer()
  const open = async () => {
    const socket = await deafSocket(server.url, STRANGER, 'GET /health HTTP/1.1\r\nHost: belfry\r\n\r\n')
    let isCut = false
    socket.once('close', () => {
      isCut = true
    })
    socket.resume()
    return { socket, isCut: () => isCut }
  }
  const opened = await Promise.all(Array.from({ length: 400 }, open))
  await eventually(() => {
    const cut = opened.filter((one) => one.isCut()).length
    if (cut !== 400 - 256) throw new Error(`${cut} were cut`)
  })
  using bystander = visitor(server.url, BYSTANDER)
  expect((await bystander.ask('GET', '/health')).status).toBe(200)
  for (const { socket } of opened) socket.destroy()
  await eventually(async () => {
    using later = visitor(server.url, STRANGER)
    expect((await later.ask('GET', '/health')).status).toBe(200)
  })
})

/** An account with as many installations as one may have, each as long as one may be. */
const fillAccount = async (server: Pick<ServerProcess, 'url'>) => {
  using owner = visitor(server.url, '127.0.0.20')
  const signer = newSigner()
  const did = signer.address
  for (let at = 0; at < 20; at++) {
    const value = new Uint8Array(16 * 1024).fill(200 + at)
    const nonceAsked = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'nonce', params: { did } })
    const { nonce, registry } = JSON.parse((await owner.ask('POST', '/rpc/v1', nonceAsked)).text).result
    const validity = 86_400
    const signature = signer.sign(
      digestOf({ act: 'set', name: HEX, value, validity }, { registry, nonce, identity: did }),
    )
    const params = { did, name: HEX, value: toHex(value), signature, validity }
    const asked = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'grantInstallation', params })
    expect(JSON.parse((await owner.ask('POST', '/rpc/v1', asked)).text)).toMatchObject({
      result: { status: 'success' },
    })
  }
  return { did }
}
