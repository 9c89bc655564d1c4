import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import type { Wallet } from '../../src/notify/client/index.ts'
import { eventually } from '../support/eventually.ts'
import { newOwner, type Owner } from '../support/owner.ts'
import { startServerProcess } from '../support/process.ts'
import { crowd } from '../support/runs.ts'
import { enrol, newDevice, postNotification, temporaryHome } from '../support/story.ts'

const ACCOUNTS = crowd(500, 100)
const CONNECTED = crowd(50, 20)
const CALLS = crowd(200, 100)
/** What memory may grow by beside a half of itself, MiB. */
const GROWTH_MIB = (64 * CALLS) / 200
const DOMAIN = 'crowd.example.com'

/** Resident anonymous memory in MiB: heap and buffers, without the mapped store. */
const memoryOf = async (pid: number): Promise<number> =>
  Number(/RssAnon:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

it(`delivers ${CALLS} calls to ${ACCOUNTS} accounts, or keeps them, in flat memory`, {
  timeout: 400_000,
}, async () => {
  await using home = await temporaryHome()
  await using server = await startServerProcess(home.path)
  const app = await enrol(home.path, DOMAIN)

  const people: { owner: Owner; wallet: Wallet; received: string[] }[] = []
  const join = async () => {
    const owner = newOwner()
    const wallet = newDevice(server, owner, { receipts: false })
    const received: string[] = []
    wallet.on('message', ({ notification }) => void received.push(notification.body))
    await wallet.subscribe(DOMAIN, [app.types[0]?.id ?? ''])
    people.push({ owner, wallet, received })
  }
  for (let at = 0; at < ACCOUNTS; at += 25) await Promise.all(Array.from({ length: 25 }, join))
  const connected = people.slice(0, CONNECTED)
  const offline = people.slice(CONNECTED)
  const kept = offline.map(({ owner, wallet }) => ({ owner, state: wallet.export() }))
  await Promise.all(offline.map(({ wallet }) => wallet[Symbol.asyncDispose]()))

  const accounts = people.map(({ owner }) => owner.account)
  const memory: number[] = []
  const bodies: string[] = []
  for (let call = 0; call < CALLS; call++) {
    const body = `call ${call}`
    const outcome = await postNotification(server, app, { id: `fan-${call}`, body, accounts })
    expect(outcome).toEqual({ sent: accounts, failed: [], not_found: [] })
    bodies.push(body)
    memory.push(await memoryOf(server.pid))
  }
  // What the outbox still holds goes out while the wallets read.
  await eventually(async () => {
    memory.push(await memoryOf(server.pid))
    for (const { received } of connected) expect(received.length).toBe(CALLS)
  }, 240_000)
  for (const { received } of connected) expect([...received].sort()).toEqual([...bodies].sort())

  // Those who were away find every one of them in their mailboxes; a sample of them looks.
  const sample = kept.filter((_, at) => at % 30 === 0)
  await Promise.all(
    sample.map(async ({ owner, state }) => {
      const received: string[] = []
      await using wallet = newDevice(server, owner, { receipts: false, state })
      wallet.on('message', ({ notification }) => void received.push(notification.body))
      await eventually(() => expect(received.length).toBe(CALLS), 60_000)
      expect([...received].sort()).toEqual([...bodies].sort())
    }),
  )

  const early = Math.max(...memory.slice(0, CALLS / 4))
  const late = Math.max(...memory.slice(-CALLS / 4))
  console.log(`memory: ${early.toFixed(0)} MiB in the first quarter, ${late.toFixed(0)} MiB in the last`)
  expect(late).toBeLessThan(early * 1.5 + GROWTH_MIB)
  await Promise.all(connected.map(({ wallet }) => wallet[Symbol.asyncDispose]()))
})
