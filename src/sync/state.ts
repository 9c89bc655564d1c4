/**
 * What a store holds, and how it changes: per key the latest word, which may be that it was deleted. Latest is what has
 * the highest JSON-RPC id, and of two with one id the greater text (a deletion is the smallest); so replicas that have
 * heard the same, in whatever order and however often, hold the same.
 */
export interface Word {
  /** JSON-RPC id: microseconds, of which the last three digits are random. */
  id: number
  /** Null: deleted. It is remembered, because an older word may come later. */
  value: string | null
}

export class StoreState {
  readonly words = new Map<string, Word>()
  /** The highest id of all words. */
  highest = 0
  /** Keys with a value. */
  size = 0

  value(key: string): string | undefined {
    return this.words.get(key)?.value ?? undefined
  }

  /** False when it is not news. */
  apply(key: string, word: Word): boolean {
    const known = this.words.get(key)
    if (known && !isLater(word, known)) return false
    this.size += Number(word.value !== null) - Number(known !== undefined && known.value !== null)
    this.words.set(key, word)
    this.highest = Math.max(this.highest, word.id)
    return true
  }

  *entries(): IterableIterator<[key: string, value: string]> {
    for (const [key, { value }] of this.words) if (value !== null) yield [key, value]
  }

  /** The same bytes for the same words. */
  export(): string {
    const rows = [...this.words].map(([key, { id, value }]) => [key, id, value] as const)
    rows.sort(([a], [b]) => (a < b ? -1 : 1))
    return JSON.stringify(rows)
  }
}

const isLater = (a: Word, b: Word): boolean => {
  if (a.id !== b.id || a.value === b.value) return a.id > b.id
  return b.value === null || (a.value !== null && a.value > b.value)
}
