/**
 * Work under one name runs one after the other, in the order in which it was asked for; under different names at the same
 * time. Work under a free name begins at once. It holds within a process; between processes the store decides.
 */
export type KeyedLock = <T>(name: string, work: () => Promise<T>) => Promise<T>

export const createKeyedLock = (): KeyedLock => {
  const last = new Map<string, Promise<unknown>>()
  return (name, work) => {
    const before = last.get(name)
    const mine = before ? before.then(work, work) : work()
    last.set(name, mine)
    const leave = () => {
      if (last.get(name) === mine) last.delete(name)
    }
    mine.then(leave, leave)
    return mine
  }
}
