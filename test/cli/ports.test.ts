import { once } from 'node:events'
import { createServer } from 'node:net'
import { expect, it } from 'vitest'
import { reservePorts } from '../../src/cli/demo/ports.ts'
import { createReleaseStack } from '../../src/platform/runtime/release-stack.ts'

it('gives no port twice, to whomever, and none that somebody uses', async () => {
  await using owned = createReleaseStack()
  const mine = owned.use(reservePorts())
  const first = await mine.next()
  // A block goes to the one who listens on its first port: what comes next in ours is taken by another program.
  const other = createServer().listen(first + 1, '127.0.0.1')
  await once(other, 'listening')
  owned.defer(() => void other.close())

  const everybody = Array.from({ length: 12 }, () => owned.use(reservePorts()))
  const theirs = await Promise.all(everybody.flatMap((ports) => [ports.next(), ports.next(), ports.next()]))
  const more: number[] = []
  // More than one block has.
  while (more.length < 120) more.push(await mine.next())

  const all = [first, first + 1, ...theirs, ...more]
  expect(new Set(all).size).toBe(all.length)
  // Neither the system's own free ports, nor what `fetch` refuses.
  expect(Math.max(...all)).toBeLessThan(20_000)
  expect(Math.min(...all)).toBeGreaterThan(10_080)
})
