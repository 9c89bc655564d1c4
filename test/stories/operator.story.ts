import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { fromBase64, toBase64 } from '../../src/protocol/bytes.ts'
import type { CarmentisKey } from '../../src/sessions/carmentis/keys.ts'
import { microblockHash, readMicroblock } from '../../src/sessions/carmentis/microblock.ts'
import type { DataApprovalResult } from '../../src/sessions/methods/data-approval.ts'
import { approvalBy, base64Of, newKey, newMicroblock } from '../sessions/ledger.ts'
import { contextWith } from '../sessions/wallet-context.ts'
import { knownSecret } from '../support/capture/record.mjs'
import { eventually } from '../support/eventually.ts'
import { freePort, startServerProcess } from '../support/process.ts'
import { sharedRedis } from '../support/redis.ts'
import { crowd } from '../support/runs.ts'
import { temporaryHome } from '../support/story.ts'

const KILLS = crowd(6, 3)
const ADMIN_TOKEN = `admin-${randomBytes(16).toString('hex')}`
const env = { BELFRY_ADMIN_TOKEN: ADMIN_TOKEN }
const args = ['--rooms', 'operator']

const asProject = async (url: string, path: string, body?: object): Promise<unknown> => {
  const response = await fetch(`${url}/v1/project/${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`HTTP ${response.status}`)
  return response.json()
}
const create = async (url: string, body: object): Promise<string> => {
  const answer = z.object({ anchorRequestId: z.string() }).parse(await asProject(url, 'approvals', body))
  knownSecret('anchor request id', answer.anchorRequestId)
  return answer.anchorRequestId
}
const approve = (url: string, key: CarmentisKey, anchorRequestId: string): Promise<DataApprovalResult> =>
  approvalBy(key).handler({ serverUrl: url, anchorRequestId }, contextWith().context)

const Log = z.object({
  height: z.number(),
  b64MbHash: z.string(),
  microblocks: z.array(z.object({ height: z.number(), b64SerializedMicroblock: z.string() })),
  next: z.number().nullable(),
})
/** The hashes of a chain, every link of it checked. */
const hashesOf = async (url: string, vbHash: string): Promise<string[]> => {
  const hashes: string[] = []
  for (let after: number | null = 0; after !== null; ) {
    const query = `chains?vbHash=${encodeURIComponent(vbHash)}&after=${after}`
    const page: z.infer<typeof Log> = Log.parse(await asProject(url, query))
    for (const { height, b64SerializedMicroblock } of page.microblocks) {
      const microblock = readMicroblock(fromBase64(b64SerializedMicroblock))
      expect([height, microblock.header.height]).toEqual([hashes.length + 1, hashes.length + 1])
      if (height > 1) expect(toBase64(microblock.header.previousHash)).toBe(hashes.at(-1))
      hashes.push(toBase64(microblockHash(microblock)))
    }
    if (page.next === null) expect([page.height, page.b64MbHash]).toEqual([hashes.length, hashes.at(-1)])
    after = page.next
  }
  return hashes
}

it(`has every microblock that was answered, in unbroken chains, over ${KILLS} kills`, {
  timeout: 180_000,
}, async () => {
  await using home = await temporaryHome()
  const port = await freePort()
  let server = await startServerProcess(home.path, { port, args, env })
  const key = newKey()
  const { publicKey: signer } = key
  const answered: (DataApprovalResult & { id: string })[] = []
  try {
    for (let kill = 0; kill < KILLS; kill++) {
      let isOver = false
      /** Extends a chain of its own until the server is gone. */
      const write = async () => {
        let last: DataApprovalResult | undefined
        while (!isOver) {
          const next = last && { height: last.height + 1, previousHash: fromBase64(last.b64MbHash) }
          const b64SerializedMicroblock = base64Of(newMicroblock('go on', next))
          const chain = last && { b64VbHash: last.b64VbHash }
          const id = await create(server.url, { b64SerializedMicroblock, signer, ...chain })
          last = await approve(server.url, key, id)
          answered.push({ ...last, id })
        }
      }
      const before = answered.length
      const writers = Array.from({ length: 4 }, () => write().catch(() => {}))
      await eventually(() => expect(answered.length).toBeGreaterThanOrEqual(before + 10))
      // At any moment of the next ones.
      await sleep(Math.random() * 100)
      await server.end('SIGKILL')
      isOver = true
      await Promise.all(writers)
      server = await startServerProcess(home.path, { port, args, env })

      const chains = new Map<string, string[]>()
      for (const { id, ...result } of answered) {
        const { b64VbHash, b64MbHash, height } = result
        const hashes = chains.get(b64VbHash) ?? (await hashesOf(server.url, b64VbHash))
        chains.set(b64VbHash, hashes)
        expect(hashes[height - 1]).toBe(b64MbHash)
        expect(await asProject(server.url, `approvals?id=${id}`)).toMatchObject({
          state: 'anchored',
          ...result,
        })
      }
      for (const [vbHash, hashes] of chains) {
        const told = answered.filter((one) => one.b64VbHash === vbHash).length
        // The last one may have been written without being answered.
        expect(hashes.length - told).toBeLessThanOrEqual(1)
      }
    }
  } finally {
    await server.end('SIGKILL')
  }
  expect(answered.length).toBeGreaterThanOrEqual(KILLS * 10)
})

it('anchors once what two wallets approve at two processes on one Redis', { timeout: 120_000 }, async () => {
  await using one = await temporaryHome()
  await using other = await temporaryHome()
  const { url: redisUrl } = await sharedRedis()
  const shared = { ...env, REDIS_URL: redisUrl, BELFRY_SECRET: randomBytes(16).toString('hex') }
  await using first = await startServerProcess(one.path, { args, env: shared })
  await using second = await startServerProcess(other.path, { args, env: shared })
  const key = newKey()
  for (let round = 0; round < 10; round++) {
    const b64SerializedMicroblock = base64Of(newMicroblock())
    const id = await create(first.url, { b64SerializedMicroblock, signer: key.publicKey })
    const results = await Promise.allSettled([
      approve(first.url, key, id),
      approve(second.url, key, id),
      approve(first.url, key, id),
    ])
    const done = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(done).toHaveLength(1)
    const [{ b64VbHash, b64MbHash } = { b64VbHash: '', b64MbHash: '' }] = done
    expect(await hashesOf(second.url, b64VbHash)).toEqual([b64MbHash])
  }
})
