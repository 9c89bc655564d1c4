/** What goes of a topic that is full: the oldest messages of those payers who have most in it. */

export interface Held {
  seq: number
  payer: string
  /** What it counts: 1, or its bytes. */
  amount: number
}

/** The share that every payer may keep so that all together keep at most `target`; who has less keeps all. */
const levelOf = (amounts: readonly number[], target: number): number => {
  let rest = target
  let payers = amounts.length
  for (const amount of [...amounts].sort((a, b) => a - b)) {
    if (amount * payers > rest) return rest / payers
    rest -= amount
    payers -= 1
  }
  return Number.POSITIVE_INFINITY
}

/** Those of `messages`, oldest first, that must go so that the others amount to `target` at most. */
export const displacedOf = (messages: readonly Held[], target: number): number[] => {
  const held = new Map<string, number>()
  let total = 0
  for (const { payer, amount } of messages) {
    held.set(payer, (held.get(payer) ?? 0) + amount)
    total += amount
  }
  const level = levelOf([...held.values()], target)
  const gone: number[] = []
  for (const { seq, payer, amount } of messages) {
    if (total <= target) break
    const own = held.get(payer) ?? 0
    if (own <= level) continue
    held.set(payer, own - amount)
    total -= amount
    gone.push(seq)
  }
  return gone
}
