import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createWorkBudget, unlimitedWork } from '../../../src/platform/budgets/work-budget.ts'
import { createWorkGate } from '../../../src/platform/budgets/work-gate.ts'
import { manualClock } from '../../support/clock.ts'

const isWanted = () => true
const ask = (items: number, cost = 0) => ({ items, cost, isWanted })

it('lets in what there is room for, in the order in which it came, and what is larger than all when alone', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 15 }), { maxLength: 60 }), async (sizes) => {
      const gate = createWorkGate({ work: unlimitedWork, clock: manualClock() }, 10)
      const begun: number[] = []
      let inProgress = 0
      let parts = 0
      const work = async (at: number, items: number) => {
        await gate.enter('owner', ask(items))
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
  const gate = createWorkGate({ work: unlimitedWork, clock: manualClock() }, 10)
  expect(gate.enter('busy', ask(10))).toBeUndefined()
  expect(gate.enter('busy', ask(1))).toBeInstanceOf(Promise)
  expect(gate.enter('other', ask(10))).toBeUndefined()
})

it('lets nothing begin while its owner is in debt, and charges what begins', async () => {
  const clock = manualClock()
  const work = createWorkBudget({ clock }, { burst: 100, seconds: 1 })
  const gate = createWorkGate({ work, clock }, 10)
  const begun: string[] = []
  const begin = async (name: string, cost: number) => {
    await gate.enter('owner', ask(1, cost))
    begun.push(name)
    gate.leave('owner', 1)
  }
  const all = Promise.all([begin('first', 300), begin('second', 100), begin('third', 0)])
  await clock.advance(1_900)
  expect(begun).toEqual(['first'])
  expect(work.debtOf('other')).toBe(0)
  await clock.advance(200)
  expect(begun).toEqual(['first', 'second'])
  await clock.advance(1_000)
  await all
  expect(begun).toEqual(['first', 'second', 'third'])
})

it('passes over what nobody wants any more, and charges nothing for it', async () => {
  const clock = manualClock()
  const work = createWorkBudget({ clock }, { burst: 100, seconds: 1 })
  const gate = createWorkGate({ work, clock }, 10)
  expect(gate.enter('owner', ask(10))).toBeUndefined()
  let isOpen = true
  const gone = gate.enter('owner', { items: 10, cost: 500, isWanted: () => isOpen })
  const next = gate.enter('owner', ask(1))
  isOpen = false
  gate.leave('owner', 10)
  expect(await gone).toBe(false)
  expect(await next).toBe(true)
  expect(work.debtOf('owner')).toBe(0)
})

it('forgets nobody who waits when an earlier look of the same owner comes late', async () => {
  const clock = manualClock()
  const work = createWorkBudget({ clock }, { burst: 100, seconds: 1 })
  const gate = createWorkGate({ work, clock }, 10)
  const begun: string[] = []
  gate.enter('owner', ask(1, 300))
  // At the moment at which the debt is paid, and before anything looks whether it is.
  clock.after(2_000, () => {
    gate.leave('owner', 1)
    gate.leave('owner', 1)
    gate.enter('owner', ask(10))
    void gate.enter('owner', ask(10))?.then(() => begun.push('third'))
  })
  void gate.enter('owner', ask(1))?.then(() => begun.push('second'))
  await clock.advance(3_000)
  expect(begun).toEqual(['second'])
  gate.leave('owner', 10)
  await clock.advance(0)
  expect(begun).toEqual(['second', 'third'])
})
