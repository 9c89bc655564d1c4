import { invariant } from '../invariant.ts'
/**
 * Shares of what a process has only so much of at one time: connections, memory that answers hold. An owner may hold so
 * much, all owners together so much; what is taken is given back.
 */
export interface Shares {
  /** Takes `amount` (1) for the owner; false, and nothing is taken, when its share or the whole would be exceeded. */
  take(owner: string, amount?: number): boolean
  /** Gives back what was taken. */
  give(owner: string, amount?: number): void
  /** What the owner may still take now. */
  left(owner: string): number
  /** What all owners hold. */
  readonly held: number
  /** Those who hold most, first. */
  holders(limit: number): { owner: string; held: number }[]
}

export interface ShareSizes {
  each: number
  all: number
}

/** Owners are remembered for as long as they hold something. */
export const createShares = ({ each, all }: ShareSizes): Shares => {
  const held = new Map<string, number>()
  let total = 0
  const left = (owner: string) => Math.max(0, Math.min(each - (held.get(owner) ?? 0), all - total))
  return {
    take(owner, amount = 1) {
      if (amount > left(owner)) return false
      held.set(owner, (held.get(owner) ?? 0) + amount)
      total += amount
      return true
    },
    give(owner, amount = 1) {
      const before = held.get(owner) ?? 0
      if (amount > before) throw new RangeError('More is given back than was taken')
      if (before === amount) held.delete(owner)
      else held.set(owner, before - amount)
      total -= amount
      invariant(total >= 0, 'owners hold no less than 0 together')
    },
    left,
    get held() {
      return total
    },
    holders: (limit) =>
      [...held]
        .map(([owner, amount]) => ({ owner, held: amount }))
        .sort((a, b) => b.held - a.held)
        .slice(0, limit),
  }
}
