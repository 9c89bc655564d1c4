/**
 * How much work of one owner is in progress at a time. More waits, in the order in which it came: what an owner may do in
 * one burst does not stand in front of everybody else's work all at once. What waits is not bounded here: at the relay a
 * connection is not read from while it has too many requests in progress, and those that wait count among them.
 */
export interface WorkGate {
  /** Undefined when the work may begin at once; otherwise resolves when it may. */
  enter(owner: string, items: number): Promise<void> | undefined
  /** Work that was let in is done. */
  leave(owner: string, items: number): void
}

interface Owner {
  inProgress: number
  waiting: { items: number; begin: () => void }[]
}

/** `most`: items of one owner in progress. What is larger by itself begins when nothing else of its owner is. */
export const createWorkGate = (most: number): WorkGate => {
  const owners = new Map<string, Owner>()

  const hasRoom = ({ inProgress }: Owner, items: number) => inProgress === 0 || inProgress + items <= most

  return {
    enter(name, items) {
      const known = owners.get(name)
      const owner = known ?? { inProgress: 0, waiting: [] }
      if (!known) owners.set(name, owner)
      if (owner.waiting.length === 0 && hasRoom(owner, items)) {
        owner.inProgress += items
        return undefined
      }
      return new Promise((begin) => owner.waiting.push({ items, begin }))
    },

    leave(name, items) {
      const owner = owners.get(name)
      if (!owner) return
      owner.inProgress -= items
      for (let next = owner.waiting[0]; next && hasRoom(owner, next.items); next = owner.waiting[0]) {
        owner.waiting.shift()
        owner.inProgress += next.items
        next.begin()
      }
      if (owner.inProgress === 0) owners.delete(name)
    },
  }
}
