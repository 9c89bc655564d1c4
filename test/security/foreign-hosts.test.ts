/** Hosts that strangers name: whatever they answer, and whether their names resolve, nobody else waits for it. */
import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createHostGate } from '../../src/platform/net/host-gate.ts'
import { addressRules } from '../../src/platform/net/public-address.ts'
import { createPublicFetch } from '../../src/platform/net/public-fetch.ts'
import { createResolver } from '../../src/platform/net/resolver.ts'
import { systemClock } from '../../src/platform/runtime/clock.ts'
import { manualClock } from '../support/clock.ts'
import { eventually } from '../support/eventually.ts'
import { startNameServer } from './name-server.ts'

const rules = addressRules(['127.0.0.0/8'])
const LIMITS = { milliseconds: 1_000, bytes: 64 * 1024 }

describe('a host that does not answer as it should', () => {
  let server: Server
  let url: string
  let say: (socket: Socket) => void
  const sockets = new Set<Socket>()
  beforeEach(async () => {
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('error', () => {}).on('close', () => sockets.delete(socket))
      socket.once('data', () => say(socket))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
  })
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })

  it.each<[string, (socket: Socket) => void]>([
    [
      'switches protocols',
      (socket) =>
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'),
    ],
    ['gives interim answers only', (socket) => socket.write('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(3))],
    ['says nothing', () => {}],
    ['closes the connection', (socket) => socket.end()],
    ['breaks the connection off', (socket) => socket.resetAndDestroy()],
    ['begins an answer', (socket) => socket.write('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive')],
    ['speaks another protocol', (socket) => socket.write('220 mail.example ESMTP\r\n')],
  ])('%s: the request is over in time, and so is its connection', async (_, answer) => {
    say = answer
    let outcome: unknown
    createPublicFetch({ rules })(url, { ...LIMITS, body: '{}' }).catch((error: unknown) => {
      outcome = error
    })
    await eventually(() => expect(outcome).toMatchObject({ code: 'unavailable' }))
    await eventually(() => expect(sockets.size).toBe(0))
  })

  it('is let go of by the signal, too', async () => {
    say = () => {}
    const ending = new AbortController()
    const asking = createPublicFetch({ rules })(url, {
      ...LIMITS,
      milliseconds: 60_000,
      signal: ending.signal,
    })
    await eventually(() => expect(sockets.size).toBe(1))
    ending.abort()
    await expect(asking).rejects.toMatchObject({ code: 'unavailable' })
    await eventually(() => expect(sockets.size).toBe(0))
  })
})

describe('names that lead nowhere', () => {
  it('hold up no other name, are given up in time, and are not asked for again at once', async () => {
    using names = await startNameServer()
    const resolve = createResolver({ clock: systemClock }, { servers: [names.server], timeoutMs: 1_500 })
    const lost = Array.from({ length: 100 }, (_, at) =>
      resolve(`bad${at}.example`).catch((error: NodeJS.ErrnoException) => error.code),
    )
    let isOver = false
    void Promise.all(lost).then(() => {
      isOver = true
    })
    expect(await resolve('good.example')).toEqual([{ address: '127.0.0.1', family: 4 }])
    expect(isOver).toBe(false)
    expect(await Promise.all(lost)).not.toContain(undefined)
    const asked = names.dropped()
    await expect(resolve('bad1.example')).rejects.toThrow()
    expect(names.dropped()).toBe(asked)
  })

  it('are let go of by the signal, which says nothing about the name', async () => {
    using names = await startNameServer()
    const resolve = createResolver({ clock: systemClock }, { servers: [names.server] })
    const ending = new AbortController()
    const asking = resolve('bad.example', ending.signal)
    await eventually(() => expect(names.dropped()).toBeGreaterThan(0))
    ending.abort()
    await expect(asking).rejects.toMatchObject({ code: 'ECANCELLED' })
    const again = new AbortController()
    const dropped = names.dropped()
    const second = resolve('bad.example', again.signal).catch(() => {})
    await eventually(() => expect(names.dropped()).toBeGreaterThan(dropped))
    again.abort()
    await second
  })

  it('of this machine come from the system', async () => {
    const resolve = createResolver({ clock: systemClock }, { servers: ['127.0.0.1:9'] })
    expect((await resolve('localhost')).map(({ address }) => address)).toContain('127.0.0.1')
  })
})

describe('places at foreign hosts', () => {
  const call = (host: string, owner: string, signal?: AbortSignal) => ({ host, owner, signal })

  it('of one host, of one owner and in all are bounded, and owners take turns', async () => {
    const gate = createHostGate({ clock: manualClock() }, { all: 4, perHost: 2, perOwner: 3 })
    const first = [await gate.enter(call('a', 'x')), await gate.enter(call('a', 'x'))]
    const order: string[] = []
    const visit = async (host: string, owner: string, name: string) => {
      const leave = await gate.enter(call(host, owner))
      order.push(name)
      leave('answered')
    }
    const visits = [
      visit('a', 'x', 'x1'),
      visit('a', 'x', 'x2'),
      visit('a', 'y', 'y1'),
      visit('a', 'y', 'y2'),
      visit('a', 'z', 'z1'),
    ]
    const elsewhere = await gate.enter(call('b', 'x'))
    visits.push(visit('c', 'x', 'the fourth of x'), visit('c', 'w', 'w1'))
    await eventually(() => expect(order).toEqual(['w1']))
    for (const leave of [...first, elsewhere]) leave('answered')
    await Promise.all(visits)
    expect(order.filter((name) => /^[xyz]\d/.test(name))).toEqual(['x1', 'y1', 'z1', 'x2', 'y2'])
  })

  it('are not waited for beyond the signal, nor by more than there is room for', async () => {
    const gate = createHostGate({ clock: manualClock() }, { perHost: 1, waiting: 4 })
    const leave = await gate.enter(call('a', 'x'))
    const ending = new AbortController()
    const waits = [gate.enter(call('a', 'x', ending.signal)), gate.enter(call('a', 'x', ending.signal))]
    const refused = waits.map((one) => expect(one).rejects.toMatchObject({ code: 'unavailable' }))
    await expect(gate.enter(call('a', 'x'))).rejects.toMatchObject({ code: 'unavailable' })
    const other = gate.enter(call('a', 'y'))
    ending.abort()
    await Promise.all(refused)
    leave('answered')
    const leaveOther = await other
    leaveOther('answered')
  })

  it('are refused at a host that cannot be reached, for longer and longer, until it can', async () => {
    const clock = manualClock()
    const gate = createHostGate({ clock }, { failures: 3, firstPauseMs: 1_000, longestPauseMs: 4_000 })
    const fail = async () => (await gate.enter(call('a', 'x')))('unreachable')
    for (let at = 0; at < 3; at++) await fail()
    for (const pause of [1_000, 2_000, 4_000, 4_000]) {
      expect(gate.restsUntil('a', 'y')).toBe(clock.now() + pause)
      await expect(gate.enter(call('a', 'y'))).rejects.toMatchObject({ until: clock.now() + pause })
      await clock.advance(pause)
      // One at a time finds out.
      const leave = await gate.enter(call('a', 'y'))
      const waiting = gate.enter(call('a', 'z')).catch((error: unknown) => error)
      leave('unreachable')
      expect(await waiting).toMatchObject({ code: 'unavailable' })
    }
    await clock.advance(4_000)
    const leave = await gate.enter(call('a', 'y'))
    leave('answered')
    expect(gate.restsUntil('a', 'y')).toBe(0)
    ;(await gate.enter(call('a', 'z')))('answered')
  })

  it('that an owner wastes on a host are refused to that owner alone', async () => {
    const gate = createHostGate({ clock: manualClock() }, { failures: 2 })
    for (let at = 0; at < 2; at++) (await gate.enter(call('a', 'x')))('failed')
    await expect(gate.enter(call('a', 'x'))).rejects.toMatchObject({ code: 'unavailable' })
    ;(await gate.enter(call('a', 'y')))('answered')
  })

  it('begin at one host at a bounded pace, however many owners there are', async () => {
    const clock = manualClock()
    const gate = createHostGate({ clock }, { pace: { burst: 5, perSecond: 2 } })
    let begun = 0
    const all = Array.from({ length: 20 }, async (_, at) => {
      const leave = await gate.enter(call('a', `owner ${at}`))
      begun++
      leave('answered')
    })
    await eventually(() => expect(begun).toBe(5))
    await clock.advance(1_000)
    await eventually(() => expect(begun).toBeGreaterThanOrEqual(6))
    expect(begun).toBeLessThanOrEqual(7)
    for (let second = 0; second < 20; second++) await clock.advance(500)
    await Promise.all(all)
    expect(begun).toBe(20)
  })
})
