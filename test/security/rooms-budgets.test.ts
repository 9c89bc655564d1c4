/**
 * One address sends what costs most, as fast as it can: signatures in batches, identities, questions whose answers it does
 * not read. Whoever is somewhere else does not notice.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { secp256k1 } from '@noble/curves/secp256k1.js'
import { afterAll, describe, expect, it } from 'vitest'
import { digestOf } from '../../src/contacts/erc1056.ts'
import { toHex } from '../../src/protocol/bytes.ts'
import { newSigner } from '../contacts/town.ts'
import { createPerson } from '../keys/person.ts'
import { eventually } from '../support/eventually.ts'
import { type ServerProcess, startServerProcess } from '../support/process.ts'
import { sharedRedis, stopShared } from '../support/redis.ts'
import {
  BYSTANDER,
  deafSocket,
  median,
  residentBytes,
  STRANGER,
  statusesOf,
  visitor,
} from './strangers-http.ts'

const HEX = 'xmtp/installation/hex'
const MIB = 1024 * 1024

afterAll(stopShared)

const ENGINES: [name: string, env: () => Promise<NodeJS.ProcessEnv>][] = [
  ['LMDB', async () => ({})],
  ['Redis', async () => ({ REDIS_URL: (await sharedRedis()).url, BELFRY_SECRET: 'ab'.repeat(32) })],
]

/** With the budgets that are the default. No proxy is trusted, so that each address of loopback is its own. */
const startServer = async (env: NodeJS.ProcessEnv = {}) => {
  const dir = await mkdtemp(join(tmpdir(), 'belfry-budgets-'))
  const server = await startServerProcess(dir, {
    args: ['--rooms', 'keys,contacts,sessions'],
    env: { BELFRY_BUDGETS: '', BELFRY_TRUSTED_PROXIES: 'none', ...env },
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

/** A signature that somebody made, over something else. */
const wrongSignature = () => {
  const signed = secp256k1.sign(new Uint8Array(32).fill(7), secp256k1.utils.randomSecretKey(), {
    prehash: false,
    format: 'recovered',
  })
  return {
    r: `0x${toHex(signed.subarray(1, 33))}`,
    s: `0x${toHex(signed.subarray(33))}`,
    v: 27 + (signed[0] ?? 0),
  }
}

const wrongGrants = (count: number): string =>
  JSON.stringify(
    Array.from({ length: count }, (_, id) => ({
      jsonrpc: '2.0',
      id,
      method: 'grantInstallation',
      params: {
        did: `0x${'ab'.repeat(20)}`,
        name: HEX,
        value: '00'.repeat(32),
        signature: wrongSignature(),
        validity: 86_400,
      },
    })),
  )

const identityOf = (person = createPerson()) => {
  const key = person.newKey()
  return { key, body: JSON.stringify({ cacao: person.cacao(key, Date.now()) }) }
}

describe.each(ENGINES)('on %s', (_, env) => {
  it('signatures at full speed from one address delay nobody at another', async () => {
    await using server = await startServer(await env())
    using stranger = visitor(server.url, STRANGER, 64)
    using bystander = visitor(server.url, BYSTANDER)
    const batch = wrongGrants(50)
    const identities = Array.from({ length: 20 }, () => identityOf().body.replace('notifications', 'nothing'))
    let isOver = false
    const attack = async (at: number) => {
      for (let turn = at; !isOver; turn++) {
        const body = turn % 2 === 0 ? batch : (identities[turn % identities.length] ?? '')
        await stranger.ask('POST', turn % 2 === 0 ? '/rpc/v1' : '/identity', body)
      }
    }
    const attacks = Array.from({ length: 64 }, (_, at) => attack(at).catch(() => {}))

    const waits: number[] = []
    const own: number[] = []
    const until = Date.now() + 8_000
    while (Date.now() < until) {
      const askedAt = performance.now()
      expect((await bystander.ask('GET', '/health')).status).toBe(200)
      waits.push(performance.now() - askedAt)
      const { key, body } = identityOf()
      const registeredAt = performance.now()
      expect((await bystander.ask('POST', '/identity', body)).status).toBe(200)
      const found = await bystander.ask('GET', `/identity?publicKey=${key.did.slice('did:key:'.length)}`)
      expect(found.status).toBe(200)
      own.push(performance.now() - registeredAt)
    }
    isOver = true
    stranger[Symbol.dispose]()
    await Promise.all(attacks)
    expect(median(waits)).toBeLessThan(100)
    expect(median(own)).toBeLessThan(1_500)
    expect(Math.max(...own)).toBeLessThan(8_000)
  })
})

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
