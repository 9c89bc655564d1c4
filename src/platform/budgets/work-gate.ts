/**
 * When the work of one owner begins: a bounded number of items at a time, and none while the owner is in debt to the work
 * budget. What waits begins in the order in which it came, so what an owner may do in one burst does not stand in front of
 * everybody else's work all at once. It is charged when it begins. How much waits is not bounded here: a connection of the
 * relay is not read from while a request of it waits.
 */
import { invariant } from '../invariant.ts'
import type { Clock } from '../runtime/clock.ts'
import type { WorkBudget } from './work-budget.ts'

export interface Asked {
  items: number
  cost: number
  isWanted(): boolean
}

export interface WorkGate {
  /**
   * Undefined when the work may begin at once; otherwise resolves when it may: with `false`, and nothing is charged, when
   * nobody wants it any more by then. `cost`: units of work.
   */
  enter(owner: string, asked: Asked): Promise<boolean> | undefined
  /** Work that was let in is done. */
  leave(owner: string, items: number): void
}

/** Items (messages, topics, receipts) of one owner in progress: some 10 ms of one core. */
export const MAX_ITEMS_IN_PROGRESS = 64

interface Waiting extends Asked {
  settle: (begins: boolean) => void
}

interface Owner {
  inProgress: number
  waiting: Waiting[]
  /** Looks again when the debt is paid. */
  later?: Disposable
}

/** `most`: items of one owner in progress. What is larger by itself begins when nothing else of its owner is. */
export const createWorkGate = (
  { work, clock }: { work: WorkBudget; clock: Clock },
  most: number = MAX_ITEMS_IN_PROGRESS,
): WorkGate => {
  const owners = new Map<string, Owner>()

  /** Whether work may begin; then it is charged. */
  const begins = (name: string, owner: Owner, { items, cost }: Asked): boolean => {
    if (owner.inProgress > 0 && owner.inProgress + items > most) return false
    const debtMs = work.debtOf(name)
    if (debtMs > 0) {
      owner.later ??= clock.after(debtMs, () => {
        delete owner.later
        advance(name, owner)
      })
      return false
    }
    work.spend(name, cost)
    owner.inProgress += items
    return true
  }

  const advance = (name: string, owner: Owner): void => {
    for (let next = owner.waiting[0]; next; next = owner.waiting[0]) {
      const isWanted = next.isWanted()
      if (isWanted && !begins(name, owner, next)) return
      owner.waiting.shift()
      next.settle(isWanted)
    }
    if (owner.inProgress > 0) return
    // Its look would come when the name may have another owner's work by then.
    owner.later?.[Symbol.dispose]()
    owners.delete(name)
  }

  return {
    enter(name, asked) {
      const known = owners.get(name)
      const owner = known ?? { inProgress: 0, waiting: [] }
      if (!known) owners.set(name, owner)
      if (owner.waiting.length === 0 && begins(name, owner, asked)) return undefined
      return new Promise((settle) => owner.waiting.push({ ...asked, settle }))
    },

    leave(name, items) {
      const owner = owners.get(name)
      if (!owner) return
      owner.inProgress -= items
      invariant(owner.inProgress >= 0, 'an owner has no fewer than 0 items in progress')
      advance(name, owner)
    },
  }
}

export const openGate: WorkGate = { enter: () => undefined, leave: () => {} }
