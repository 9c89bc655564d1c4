import * as z from 'zod'
import { median } from '../engines.ts'
import { startProgram } from '../program.ts'
import { count } from '../table.ts'

/** Of one measurement. */
const TIME_MS = 400

/** What one core can do in keys alone, measured between the rounds of what is compared with it. */
export const startCrypto = async (what: 'notifications' | 'requests') => {
  const program = startProgram(new URL('crypto-program.ts', import.meta.url))
  const rates: number[] = []
  const measure = () => program.call(what, TIME_MS, z.number())
  // What is compiled while it runs for the first time is not measured.
  await measure()
  return {
    async measure(): Promise<void> {
      rates.push(await measure())
    },
    /** `0.12 × crypto (30,000 /s, 33 µs)`, and on Redis. */
    compared(rate: { embedded: number; redis: number }): string {
      const crypto = median(rates)
      const [embedded, redis] = [rate.embedded / crypto, rate.redis / crypto]
      return `${embedded.toFixed(2)}, on Redis ${redis.toFixed(2)} × crypto (${count(crypto)} /s, ${count(1e6 / crypto)} µs)`
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}
