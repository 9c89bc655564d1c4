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
 * Trouble: a call waits for Redis to come back until it has been away for `timeoutMs` (at least a second, and at most
 * `timeoutMs` for one that does not answer), then it rejects with ProtocolError `unavailable` and the reason as its cause.
 * READONLY, CLUSTERDOWN, LOADING, OOM and the like are `unavailable` at once. A call that was rejected may still have its
 * effect, also later, so everything that is sent must bear repetition. A promise that resolves says that Redis has
 * answered: how much outlives a crash of Redis is its operator's choice (`appendonly`, `appendfsync`, replicas).
 */

import { Cluster, Redis, type RedisOptions } from 'ioredis'
import { type Log, silent } from '../../platform/telemetry.ts'
import { ProtocolError } from '../../protocol/errors.ts'
import { diagnoseRedis, mistakeOfReply, versionMistake, warningsOf } from './mistakes.ts'
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
  /** How long a call waits for a Redis that is away. Default 10,000. */
  timeoutMs?: number
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
  /** The same for arguments and answers of bytes: texts in the answer are Buffers. */
  scriptBuffer(
    script: Script,
    keys: readonly string[],
    args: readonly (string | number | Buffer)[],
  ): Promise<unknown>
  /** A connection for sharded subscriptions only; made at the first call. In a cluster it is the client itself. */
  subscriber(): Redis | Cluster
  /**
   * A connection of its own, for commands that block; it ends with this one at the latest. It is not given up when no answer
   * comes: who blocks knows when one should have come.
   */
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

/** A call waits at least so long, unless `timeoutMs` is less. */
const MIN_TIMEOUT_MS = 1_000

/** A timer that comes so late says that the process was stopped, or had no core. */
const STOOD_STILL_MS = 1_000

/** A ping that is cut off leaves its key for so long. */
const PING_TTL_MS = 1_000

/** Waits 50 ms, then longer, at most a second: a Redis that restarts is found soon. */
const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), 1_000)

/** Between two connections that are given up because they lead to a replica. */
const RECONNECT_PAUSE_MS = 1_000

const connect = (options: ConnectOptions): Redis | Cluster => {
  let reconnectedAt = 0
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
      if (!error.message.startsWith('READONLY') || Date.now() - reconnectedAt < RECONNECT_PAUSE_MS)
        return false
      reconnectedAt = Date.now()
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
    // Deadlines are ours (`timeoutMs`); these only must not end earlier.
    maxRedirections: 200,
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 100,
    retryDelayOnTryAgain: 50,
    shardedSubscribers: true,
  })
}

interface ConnectionState {
  readonly client: Redis | Cluster
  readonly url: string
  readonly prefix: string
  readonly timeoutMs: number
  readonly log: Log
  /** Scripts that the client knows. */
  readonly defined: Set<string>
  readonly refusedWriteListeners: Set<(reply: string) => void>
  /** Warnings are logged once a process: a connection that comes back says nothing new. */
  readonly warned: Set<string>
  isClosed: boolean
  /** Why this Redis is never used, for the operator. */
  refusal: string | undefined
  spansSlots: boolean
  /** Unix ms; undefined while the connection stands. */
  awaySince: number | undefined
}

const logOutages = (state: ConnectionState, connection: Redis | Cluster): void => {
  const { url, prefix, log } = state
  // Every failed attempt is an event; those between the first and the recovery are not logged.
  let isLogged = false
  connection.on('error', (error: Error) => {
    if (isLogged) return
    isLogged = true
    void diagnoseRedis(url, prefix).then((mistake) => {
      if (!state.isClosed) log.warn({ err: error }, mistake ?? 'Redis is away; trying again')
    })
  })
  connection.on('ready', () => {
    if (isLogged) log.info({}, 'Redis is back')
    isLogged = false
  })
}

/** Finds what would only show much later, or in a hundred odd ways. */
const examine = async (state: ConnectionState): Promise<void> => {
  const { client, prefix, log, warned } = state
  const nodes = client instanceof Cluster ? client.nodes('master') : [client]
  const infos = await Promise.all(nodes.map((node) => node.info().catch(() => undefined)))
  // A proxy may describe itself as something else, so a script with two slots is tried.
  state.spansSlots =
    client instanceof Redis &&
    (await client.eval('return 1', 2, `${prefix}{p0}`, `${prefix}{p1}`).catch(() => 0)) === 1
  state.refusal = infos.map((info) => versionMistake(info ?? '')).find((mistake) => mistake !== undefined)
  if (state.refusal !== undefined) log.error({}, state.refusal)
  for (const warning of infos.flatMap(warningsOf)) {
    if (!warned.has(warning)) log.warn({}, warning)
    warned.add(warning)
  }
}

const together = <T>({ client }: ConnectionState, start: () => T): T => {
  const streams = (client instanceof Cluster ? client.nodes('master') : [client]).map(({ stream }) => stream)
  for (const stream of streams) stream?.cork()
  try {
    return start()
  } finally {
    for (const stream of streams) stream?.uncork()
  }
}

/** Waits for what `start` sends, as long as a call may. */
const answered = async <T>(state: ConnectionState, start: () => Promise<T>): Promise<T> => {
  const { awaySince, timeoutMs } = state
  if (state.isClosed) throw new ProtocolError('unavailable', 'the store is closed')
  if (state.refusal !== undefined) throw new ProtocolError('unavailable', state.refusal)
  // A Redis that is away for long is not asked again by every caller; the client goes on trying.
  if (awaySince !== undefined && Date.now() - awaySince > timeoutMs) {
    throw new ProtocolError('unavailable', 'Redis does not answer')
  }
  // A caller that comes late to an outage waits for the rest of the time only.
  const restMs = timeoutMs - (awaySince === undefined ? 0 : Date.now() - awaySince)
  const patienceMs = Math.max(restMs, Math.min(timeoutMs, MIN_TIMEOUT_MS))
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<T>((resolve, reject) => {
      const giveUp = () => reject(new ProtocolError('unavailable', 'Redis did not answer in time'))
      const dueAt = Date.now() + patienceMs
      timer = setTimeout(() => {
        // After a process stood still its timers come before what Redis has said meanwhile.
        if (Date.now() - dueAt > STOOD_STILL_MS) timer = setTimeout(giveUp, patienceMs)
        else giveUp()
      }, patienceMs)
      start().then(resolve, reject)
    })
  } catch (error) {
    if (error instanceof Error && isReply(error) && REFUSED_WRITE.test(error.message)) {
      for (const listener of state.refusedWriteListeners) listener(error.message)
    }
    throw unavailable(error)
  } finally {
    clearTimeout(timer)
  }
}

const batch = <T>(state: ConnectionState, commands: () => readonly Promise<T>[]): Promise<T[]> =>
  answered(state, () => together(state, () => Promise.all(commands())))

const runScript = (
  { client, defined }: ConnectionState,
  { name, lua }: Script,
  {
    keys,
    args,
    variant,
  }: {
    keys: readonly string[]
    args: readonly (string | number | Buffer)[]
    variant: '' | 'Buffer'
  },
): Promise<unknown> => {
  if (!defined.has(name)) {
    client.defineCommand(name, { lua })
    defined.add(name)
  }
  const run: unknown = Reflect.get(client, `${name}${variant}`)
  if (typeof run !== 'function') throw new Error(`The script ${name} is not defined`)
  return Promise.resolve(Reflect.apply(run, client, [keys.length, ...keys, ...args]))
}

/** A write: a Redis that is full, or only a replica, answers PING and reads, too. */
const ping = async (state: ConnectionState): Promise<void> => {
  const { client, prefix } = state
  const key = `${prefix}{ping}`
  await batch<unknown>(state, () => [client.set(key, '', 'PX', PING_TTL_MS), client.del(key)])
}

const createState = (options: ConnectOptions): ConnectionState => {
  const { url, prefix = 'belfry:', timeoutMs = 10_000, log = silent } = options
  const state: ConnectionState = {
    ...{ client: connect(options), url, prefix, timeoutMs, log },
    ...{ defined: new Set(), refusedWriteListeners: new Set(), warned: new Set() },
    ...{ isClosed: false, refusal: undefined, spansSlots: false, awaySince: Date.now() },
  }
  logOutages(state, state.client)
  state.client.on('ready', () => {
    state.awaySince = undefined
    void examine(state)
  })
  state.client.on('close', () => {
    state.awaySince ??= Date.now()
  })
  return state
}

export const connectRedis = (options: ConnectOptions): RedisConnection => {
  const state = createState(options)
  const { client, prefix, refusedWriteListeners } = state
  const others = new Set<Redis | Cluster>()
  let subscriber: Redis | Cluster | undefined
  return {
    prefix,
    get spansSlots() {
      return state.spansSlots
    },
    client,
    together: (start) => together(state, start),
    batch: (commands) => batch(state, commands),
    one: (command) => answered(state, command),
    script: (script, keys, args) => runScript(state, script, { keys, args, variant: '' }),
    scriptBuffer: (script, keys, args) => runScript(state, script, { keys, args, variant: 'Buffer' }),
    subscriber() {
      if (client instanceof Cluster) return client
      if (!subscriber) {
        // `channels.ts` subscribes again itself: when Redis refuses one of the library's own attempts, nothing can
        // catch it, and the process ends.
        subscriber = client.duplicate({ maxRetriesPerRequest: null, autoResubscribe: false })
        logOutages(state, subscriber)
      }
      return subscriber
    },
    another() {
      // The library's own timer would outlive the connection, and the process would wait for it.
      const patient = { socketTimeout: undefined }
      const other =
        client instanceof Cluster
          ? client.duplicate([], { redisOptions: { ...client.options.redisOptions, ...patient } })
          : client.duplicate(patient)
      logOutages(state, other)
      others.add(other)
      other.once('end', () => void others.delete(other))
      return other
    },
    onRefusedWrite(listener) {
      refusedWriteListeners.add(listener)
      return { [Symbol.dispose]: () => void refusedWriteListeners.delete(listener) }
    },
    ping: () => ping(state),
    async [Symbol.asyncDispose]() {
      if (state.isClosed) return
      state.isClosed = true
      subscriber?.disconnect()
      for (const other of others) other.disconnect()
      client.disconnect()
    },
  }
}
