import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createWorkGate } from '../../src/platform/work-gate.ts'

it('lets in what there is room for, in the order in which it came, and what is larger than all when alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 60 }), async (sizes) => {
      const gate = createWorkGate(10)
      const begun: number[] = []
      let inProgress = 0
      let parts = 0
      const work = async (at: number, items: number) => {
        await gate.enter('owner', items)
        begun.push(at)
        inProgress += items
        parts++
        expect(parts === 1 || inProgress <= 10).toBe(true)
        await new Promise(setImmediate)
        inProgress -= items
        parts--
        gate.leave('owner', items)
      }
      await Promise.all(sizes.map((items, at) => work(at, items)))
      expect(begun).toEqual(sizes.map((_, at) => at))
    }),
  )
})

it('holds up nobody else', () => {
  const gate = createWorkGate(10)
  expect(gate.enter('busy', 10)).toBeUndefined()
  expect(gate.enter('busy', 1)).toBeInstanceOf(Promise)
  expect(gate.enter('other', 10)).toBeUndefined()
})
