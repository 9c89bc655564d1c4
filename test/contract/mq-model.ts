/** The queues against the simplest thing that could be one: an array. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { MqMessage, MqStore } from '../../src/mq/store.ts'

const MOST = 4

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('put' as const), ttl: fc.integer({ min: 1, max: 30 }) }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('take' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('takeId' as const, 'remove' as const), which: fc.nat(7) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 15 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
)

export const mqStoreModel = (store: () => MqStore, start: number): void => {
  let runs = 0
  it('does what a list would do', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        runs += 1
        const queue = { domain: 'default', hashDID: `run-${runs}` }
        let now = start
        let list: MqMessage[] = []
        let puts = 0
        const live = () => {
          list = list.filter(({ expiresAt }) => expiresAt > now)
          return list
        }
        for (const one of steps) {
          puts += 1
          switch (one.do) {
            case 'put': {
              const message = { id: `m${puts}`, message: `${puts}`, expiresAt: now + one.ttl }
              const isKept = await store().put(queue, message, { now, most: MOST })
              expect(isKept).toBe(live().length < MOST)
              if (isKept) list.push(message)
              break
            }
            case 'take':
              expect(await store().take(queue, { now })).toEqual(live().shift())
              break
            case 'takeId':
            case 'remove': {
              const at = one.which % (live().length + 1)
              const id = list[at]?.id ?? 'none'
              const [meant] = list.splice(at, 1)
              if (one.do === 'remove') expect(await store().remove(queue, id)).toBe(meant !== undefined)
              else expect(await store().take(queue, { now, id })).toEqual(meant)
              break
            }
            case 'wait':
              now += one.ms
              break
            case 'sweep':
              await store().sweep(now, 100)
              break
          }
          expect(await store().head(queue, now)).toEqual(live()[0])
        }
      }),
      { numRuns: 40 },
    )
  })
}
