/** A priority queue: `pop` gives the item that comes first by `before`. */
export interface Heap<T> {
  push(item: T): void
  peek(): T | undefined
  pop(): T | undefined
}

export const createHeap = <T>(before: (a: T, b: T) => boolean): Heap<T> => {
  const items: T[] = []
  /** Puts `item` where it belongs, beginning at the hole `at` and moving up or down. */
  const settle = (item: T, start: number) => {
    let at = start
    for (;;) {
      const parent = items[(at - 1) >> 1]
      if (at === 0 || parent === undefined || !before(item, parent)) break
      items[at] = parent
      at = (at - 1) >> 1
    }
    for (;;) {
      let child = 2 * at + 1
      const left = items[child]
      const right = items[child + 1]
      if (left === undefined) break
      let least = left
      if (right !== undefined && before(right, left)) {
        child += 1
        least = right
      }
      if (!before(least, item)) break
      items[at] = least
      at = child
    }
    items[at] = item
  }
  return {
    push(item) {
      items.push(item)
      settle(item, items.length - 1)
    },
    peek: () => items[0],
    pop() {
      const first = items[0]
      const last = items.pop()
      if (items.length > 0 && last !== undefined) settle(last, 0)
      return first
    },
  }
}
