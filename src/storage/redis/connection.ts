/**
 * One Redis (or Redis Cluster), as the stores use it. They never touch ioredis errors, sockets or deadlines:
 *
 *     const [a, b] = await redis.batch(() => [redis.client.get(one), redis.client.get(two)])
 *     const answer = await redis.one(() => redis.script(claim, [key], [holder, now]))
 *
 * Whatever is sent within one `batch` leaves in one write a node. In a cluster every command finds its own way (moved
 * slots, fail-overs), so a batch may name keys of any slot; only the keys of one command or script must share one.
 * Keys are made with `redis.prefix` and a hash tag: `` `${redis.prefix}{t:…}` ``. Never `KEYS`, never a cross-slot MGET.
 *
 * Trouble: a call waits for Redis to come back until it has been away for `patience` (at least a second, and at most
 * `patience` for one that does not answer), then it rejects with ProtocolError `unavailable` and the reason as its cause.
 * READONLY, CLUSTERDOWN, LOADING, OOM and the like are `unavailable` at once. A call that was rejected may still have its
 * effect, also later, so everything that is sent must bear repetition. A promise that resolves says that Redis has
 * answered: how much outlives a crash of Redis is its operator's choice (`appendonly`, `appendfsync`, replicas).
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { type Log, silent } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { diagnoseRedis, mistakeOfReply, versionMistake, warningsOf } from './diagnosis.ts'
import { parseRedisUrl } from './url.ts'

/** A Lua script: see `redis/script.ts`. */
export interface Script {
  /** Unique among all scripts; starts with `belfry`. */
  name: string
  lua: string
}

export interface ConnectOptions {
  /** `redis://`, `rediss://`, `redis+cluster://host:port,host:port`, `rediss+cluster://…`. */
  url: string
  /** What all our keys start with. Default `belfry:`. */
  prefix?: string
  /** How long a call waits for a Redis that is away, ms. Default 10,000. */
  patience?: number
  log?: Log
}

export interface RedisConnection extends AsyncDisposable {
  readonly prefix: string
  /**
   * Whether one command or script may name keys of several slots: on a single Redis, as far as is known yet. Not in a
   * cluster, nor behind a proxy that divides the keys.
   */
  readonly spansSlots: boolean
  readonly client: Redis | Cluster
  /** Holds back writes to the sockets while `start` runs, so that what it sends leaves together. */
  together<T>(start: () => T): T
  /** Sends commands together and gives their answers; rejects with the first failure, mapped. */
  batch<T>(commands: () => readonly Promise<T>[]): Promise<T[]>
  /** One command. */
  one<T>(command: () => Promise<T>): Promise<T>
  /** Starts a script (EVALSHA; the text follows where a node does not know it): use within `batch` or `one`. */
  script(script: Script, keys: readonly string[], args: readonly (string | number)[]): Promise<unknown>
  /** A connection for sharded subscriptions only; made at the first call. In a cluster it is the client itself. */
  subscriber(): Redis | Cluster
  /** A connection of its own, for commands that block; it ends with this one at the latest. */
  another(): Redis | Cluster
  ping(): Promise<void>
  /** Calls the listener with the reply whenever Redis refuses to write: `OOM …`, `MISCONF …`, `READONLY …`. */
  onRefusedWrite(listener: (reply: string) => void): Disposable
}

/** Replies that say that Redis cannot serve now. Anything else that Redis refuses is a defect of ours. */
const AWAY =
  /^(READONLY|CLUSTERDOWN|LOADING|OOM|MASTERDOWN|TRYAGAIN|MOVED|ASK|NOREPLICAS|BUSY|MISCONF|NOAUTH|WRONGPASS|NOPERM|UNKILLABLE|NOSCRIPT|EXECABORT)\b|non local key/
/** Those of them that concern writes alone. */
const REFUSED_WRITE = /^(OOM|MISCONF|READONLY|NOREPLICAS)\b/
/** Errors of the client library that are not replies of Redis. */
const isReply = (error: Error): boolean => error.name === 'ReplyError'

const unavailable = (error: unknown): unknown => {
  if (error instanceof ProtocolError) return error
  if (!(error instanceof Error)) return error
  if (isReply(error) && !AWAY.test(error.message)) return error
  if (error instanceof TypeError || error instanceof RangeError) return error
  const mistake = isReply(error) ? mistakeOfReply(error.message) : undefined
  const reason = isReply(error) ? (/^[A-Z]+/.exec(error.message)?.[0] ?? 'error') : 'no connection'
  return new ProtocolError('unavailable', mistake ?? `Redis cannot serve now (${reason})`, { cause: error })
}

/** A call waits at least so long, ms, unless `patience` is less. */
const LEAST_PATIENCE = 1_000

/** How long the trace of a ping stays that nobody removes, ms. */
const PING_KEPT = 1_000

/** Waits 50 ms, then longer, at most a second: a Redis that restarts is found soon. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), 1_000)

/** Between two connections that are given up because they lead to a replica, ms. */
const TURN_AWAY = 1_000

const connect = (options: ConnectOptions): Redis | Cluster => {
  let turnedAway = 0
  const { hosts, isCluster, ...own } = parseRedisUrl(options.url)
  const shared: RedisOptions = {
    ...own,
    connectTimeout: 5_000,
    // A node that stopped without closing its connections.
    socketTimeout: 10_000,
    keepAlive: 10_000,
    // A fail-over turned this master into a replica: the address may lead to the new one by now. What was refused is not
    // sent again behind its caller's back; it would pile up here for as long as there is none.
    reconnectOnError: (error) => {
      if (!error.message.startsWith('READONLY') || Date.now() - turnedAway < TURN_AWAY) return false
      turnedAway = Date.now()
      return 1
    },
  }
  if (!isCluster) {
    const [host] = hosts
    // About ten seconds of attempts, then what waits is refused, so that nothing is sent long after its caller left.
    return new Redis({ ...shared, ...host, retryStrategy, maxRetriesPerRequest: 12 })
  }
  const { db: _, ...node } = shared
  return new Cluster(hosts, {
    redisOptions: { ...node, maxRetriesPerRequest: 2 },
    clusterRetryStrategy: retryStrategy,
    slotsRefreshTimeout: 3_000,
    slotsRefreshInterval: 15_000,
    // Deadlines are ours (`patience`); these only must not end earlier.
    maxRedirections: 200,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    retryDelayOnTryAgain: 50,
    shardedSubscribers: true,
  })
}

export const connectRedis = (options: ConnectOptions): RedisConnection => {
  const { prefix = 'belfry:', patience = 10_000, log = silent } = options
  const client = connect(options)
  const defined = new Set<string>()
  const others = new Set<Redis | Cluster>()
  const listeners = new Set<(reply: string) => void>()
  let subscriber: Redis | Cluster | undefined
  let closed = false
  let refusal: string | undefined
  let spansSlots = false
  const warned = new Set<string>()
  let awaySince: number | undefined = Date.now()

  const watch = (one: Redis | Cluster) => {
    // Every failed attempt is an event; the ones between the first and the recovery say nothing new.
    let isTold = false
    one.on('error', (error: Error) => {
      if (isTold) return
      isTold = true
      void diagnoseRedis(options.url, prefix).then((mistake) => {
        if (!closed) log.warn({ err: error }, mistake ?? 'Redis is away; trying again')
      })
    })
    one.on('ready', () => {
      if (isTold) log.info({}, 'Redis is back')
      isTold = false
    })
  }
  watch(client)

  /** What would only show much later, or in a hundred odd ways. */
  const examine = async (): Promise<void> => {
    const nodes = client instanceof Cluster ? client.nodes('master') : [client]
    const infos = await Promise.all(nodes.map((node) => node.info().catch(() => undefined)))
    // Trying is surer than what a proxy says of itself.
    spansSlots =
      client instanceof Redis &&
      (await client.eval('return 1', 2, `${prefix}{p0}`, `${prefix}{p1}`).catch(() => 0)) === 1
    refusal = infos.map((info) => versionMistake(info ?? '')).find((mistake) => mistake !== undefined)
    if (refusal !== undefined) log.error({}, refusal)
    // Once a process: a connection that comes back says nothing new.
    for (const warning of infos.flatMap(warningsOf)) {
      if (!warned.has(warning)) log.warn({}, warning)
      warned.add(warning)
    }
  }
  client.on('ready', () => {
    awaySince = undefined
    void examine()
  })
  client.on('close', () => {
    awaySince ??= Date.now()
  })

  const together = <T>(start: () => T): T => {
    const streams = (client instanceof Cluster ? client.nodes('master') : [client]).map(
      ({ stream }) => stream,
    )
    for (const stream of streams) stream?.cork()
    try {
      return start()
    } finally {
      for (const stream of streams) stream?.uncork()
    }
  }

  const batch = async <T>(commands: () => readonly Promise<T>[]): Promise<T[]> => {
    if (closed) throw new ProtocolError('unavailable', 'the store is closed')
    if (refusal !== undefined) throw new ProtocolError('unavailable', refusal)
    // What is away for long is not asked again by every caller; the client goes on trying.
    if (awaySince !== undefined && Date.now() - awaySince > patience) {
      throw new ProtocolError('unavailable', 'Redis does not answer')
    }
    // Who comes late to a Redis that has been away for a while waits for the rest of the time, not for all of it again.
    const rest = patience - (awaySince === undefined ? 0 : Date.now() - awaySince)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new ProtocolError('unavailable', 'Redis did not answer in time')),
        Math.max(rest, Math.min(patience, LEAST_PATIENCE)),
      )
    })
    try {
      return await Promise.race([Promise.all(together(commands)), late])
    } catch (error) {
      if (error instanceof Error && isReply(error) && REFUSED_WRITE.test(error.message)) {
        for (const listener of listeners) listener(error.message)
      }
      throw unavailable(error)
    } finally {
      clearTimeout(timer)
    }
  }

  const one = async <T>(command: () => Promise<T>): Promise<T> => {
    const [answer] = await batch(() => [command().then((value) => ({ value }))])
    if (!answer) throw new Error('a command without an answer')
    return answer.value
  }

  return {
    prefix,
    get spansSlots() {
      return spansSlots
    },
    client,
    together,
    batch,
    one,
    script({ name, lua }, keys, args) {
      if (!defined.has(name)) {
        client.defineCommand(name, { lua })
        defined.add(name)
      }
      const run: unknown = Reflect.get(client, name)
      if (typeof run !== 'function') throw new Error(`The script ${name} is not defined`)
      return Promise.resolve(Reflect.apply(run, client, [keys.length, ...keys, ...args]))
    },
    subscriber() {
      if (client instanceof Cluster) return client
      if (!subscriber) {
        // Subscriptions are made again by who made them (`channels.ts`): when Redis refuses one of the library's own
        // attempts, nobody can catch it, and the process ends.
        subscriber = client.duplicate({ maxRetriesPerRequest: null, autoResubscribe: false })
        watch(subscriber)
      }
      return subscriber
    },
    another() {
      const other = client.duplicate()
      watch(other)
      others.add(other)
      other.once('end', () => void others.delete(other))
      return other
    },
    onRefusedWrite(listener) {
      listeners.add(listener)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    async ping() {
      // A write: PING and reads are answered, too, by a Redis that is full or only a replica.
      const key = `${prefix}{ping}`
      await batch<unknown>(() => [client.set(key, '', 'PX', PING_KEPT), client.del(key)])
    },
    async [Symbol.asyncDispose]() {
      if (closed) return
      closed = true
      subscriber?.disconnect()
      for (const other of others) other.disconnect()
      client.disconnect()
    },
  }
}
