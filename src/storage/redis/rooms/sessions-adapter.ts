/**
 * How Socket.IO reaches connections of other processes: its adapter for Redis streams, on our connection.
 *
 * One stream, which every process reads. A session's peers are usually at one process, and what they say to each other
 * there never gets here. Of what the adapter does with Redis only the stream is used (sharded pub/sub and sessions that
 * are recovered are not), and that is done here, where the library leaves gaps:
 *
 * - It reads from `$`, "what comes from now on", again and again until something has come; what comes between two of
 *   these calls is lost. Here it reads from the entry that was the last when it began.
 * - It asks again at once when Redis refuses. Here it waits.
 * - It keeps entries by their number, 1 MiB each. Here they are kept for as long as a reader may be behind.
 * - A read under way would hold up the end of the process. Here it is broken off.
 */
import { createAdapter } from '@socket.io/redis-streams-adapter'
import { type Log, silent } from '../../../platform/telemetry.ts'
import { ProtocolError } from '../../../protocol/errors.ts'
import type { RedisConnection } from '../connection.ts'

/** How long what was said stays, ms. */
const STREAM_TTL_MS = 60_000
const BLOCK_MS = 5_000
/** A node that has not answered by then has stopped without closing its connections. */
const ANSWER_TIMEOUT_MS = 2 * BLOCK_MS
const RETRY_PAUSE_MS = 1_000

export type SessionsAdapter = ReturnType<typeof createAdapter>

/** Resolves when it listens; rejects with `unavailable`. */
export const createSessionsAdapter = async (
  redis: RedisConnection,
  log: Log = silent,
): Promise<SessionsAdapter> => {
  const stream = `${redis.prefix}{sessions}`
  const connection = redis.another()
  let closed = false

  const last = async (): Promise<string> => {
    const [entry] = await connection.xrevrange(stream, '+', '-', 'COUNT', 1)
    return entry?.[0] ?? '0-0'
  }
  const from = await last().catch((cause: unknown) => {
    connection.disconnect()
    throw new ProtocolError('unavailable', 'Redis does not answer', { cause })
  })

  const reader = {
    on() {},
    async xread(...args: unknown[]) {
      const [, , , count, , , offset] = args
      const late = setTimeout(() => connection.disconnect(true), ANSWER_TIMEOUT_MS)
      try {
        const start = offset === '$' ? from : String(offset)
        return await connection.xread('COUNT', Number(count), 'BLOCK', BLOCK_MS, 'STREAMS', stream, start)
      } catch (error) {
        if (!closed) await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE_MS).unref())
        throw error
      } finally {
        clearTimeout(late)
      }
    },
    disconnect() {},
  }
  /** What is asked of all processes at once, which nobody here does. */
  const deaf = { on() {}, subscribe() {}, disconnect() {} }

  const connections = [reader, deaf]
  const client = {
    options: {},
    duplicate: () => connections.shift() ?? deaf,
    async xadd([, , , , , ...fields]: string[]) {
      try {
        const [id] = await redis.batch<unknown>(() => [
          redis.client.xadd(stream, 'MINID', '~', Date.now() - STREAM_TTL_MS, '*', ...fields),
          redis.client.pexpire(stream, STREAM_TTL_MS),
        ])
        return id
      } catch (err) {
        log.warn({ err }, 'A session could not be told at another process')
        throw err
      }
    },
  }

  const adapterOf = createAdapter(client, { streamName: stream, blockTimeInMs: BLOCK_MS })
  // Called with `new`, so it is not an arrow.
  function adapterFor(namespace: unknown) {
    const adapter = adapterOf(namespace)
    const close = adapter.close
    adapter.close = () => {
      close.call(adapter)
      closed = true
      connection.disconnect()
    }
    return adapter
  }
  return adapterFor
}
