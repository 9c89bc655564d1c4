/**
 * How large the benchmark is. `BENCH_SIZE=big` takes an hour instead of minutes; `BENCH_SUBSCRIBERS` and `BENCH_CLIENTS`
 * set the number of subscribers of a broadcast and of clients that come back after a restart by themselves.
 */
export const isBig = process.env.BENCH_SIZE === 'big'

const sizeOf = (set: string | undefined, normal: number, big: number): number =>
  set === undefined ? (isBig ? big : normal) : Number(set)

/** Of a broadcast, on 100 sockets. */
export const SUBSCRIBERS = sizeOf(process.env.BENCH_SUBSCRIBERS, 2_000, 20_000)
/** That come back after a restart. `ulimit -n` of this process and of the server must be above it. */
export const CLIENTS = sizeOf(process.env.BENCH_CLIENTS, 500, 10_000)
