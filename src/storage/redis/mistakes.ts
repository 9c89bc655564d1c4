/**
 * Why a Redis does not serve: asks it over a connection of its own, without the client library, and tells mistakes of
 * the configuration, which no waiting ends, from trouble that passes. Sentences name host and port and no password.
 */
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { parseReplies } from './replies.ts'
import { parseRedisUrl, type RedisAddress } from './url.ts'

export const MIN_REDIS_VERSION = 7

const PROBE_TIMEOUT_MS = 2_000
/** INFO is 7 KB; what is not a Redis may send anything. */
const MAX_REPLY_BYTES = 128 * 1024
/** How long the trace of a probe stays, ms. */
const PROBE_TTL_MS = 1_000
const TLS_ALERT = 0x15

interface Heard {
  text: string
  /** Why the connection failed, where it did. */
  code: string | undefined
}

interface Place {
  host: string
  port: number
}

const commandText = (words: readonly string[]): string =>
  [`*${words.length}`, ...words.flatMap((word) => [`$${Buffer.byteLength(word)}`, word]), ''].join('\r\n')

/** Sends all commands and gives what came until the other side closed, or the time was over. Never rejects. */
const hear = ({ host, port }: Place, isTls: boolean, commands: string): Promise<Heard> =>
  new Promise((resolve) => {
    let text = ''
    const socket: Socket = isTls ? connectTls({ host, port, servername: host }) : connectTcp({ host, port })
    const end = (code?: string) => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ text, code })
    }
    const timer = setTimeout(() => end('ETIMEDOUT'), PROBE_TIMEOUT_MS)
    socket.setEncoding('latin1')
    socket.once(isTls ? 'secureConnect' : 'connect', () => socket.write(commands))
    socket.on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_REPLY_BYTES) end()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message))
    socket.on('close', () => end())
  })

const speaksRedis = (text: string): boolean => /^[+\-:$*%]/.test(text)

const PING = commandText(['PING']) + commandText(['QUIT'])

const CERTIFICATE = /CERT|SIGNATURE|ISSUER|ALTNAME/

const tlsMistake = async (place: Place, at: string, heard: Heard): Promise<string | undefined> => {
  const { code = '' } = heard
  if (CERTIFICATE.test(code)) {
    return `The certificate of Redis at ${at} is not trusted (${code}): name its authority in NODE_EXTRA_CA_CERTS.`
  }
  const plain = await hear(place, false, PING)
  return speaksRedis(plain.text)
    ? `Redis at ${at} does not speak TLS: write redis:// in REDIS_URL.`
    : undefined
}

const plainMistake = async (place: Place, at: string, heard: Heard): Promise<string | undefined> => {
  const wantsTls = `Redis at ${at} wants TLS: write rediss:// in REDIS_URL.`
  if (heard.text.charCodeAt(0) === TLS_ALERT) return wantsTls
  if (heard.text !== '') return `What answers at ${at} is not a Redis: check host and port in REDIS_URL.`
  if (heard.code !== undefined && heard.code !== 'ECONNRESET') return undefined
  // It hung up without a word, as servers do that wait for TLS.
  const secure = await hear(place, true, PING)
  return speaksRedis(secure.text) || CERTIFICATE.test(secure.code ?? '') ? wantsTls : undefined
}

/** What a refusal of Redis says about the configuration; the same words at the start and while the server runs. */
export const mistakeOfReply = (reply: string, at = 'REDIS_URL'): string | undefined => {
  if (reply.startsWith('WRONGPASS')) {
    return `Redis at ${at} refuses the password (WRONGPASS): put the right user and password into REDIS_URL.`
  }
  if (reply.startsWith('NOAUTH')) {
    return `Redis at ${at} wants a password (NOAUTH): write redis://user:password@host:port in REDIS_URL.`
  }
  if (reply.startsWith('NOPERM')) {
    return `The user of Redis at ${at} may not do what is needed (NOPERM): allow it all commands, its keys and channels.`
  }
  if (reply.startsWith('READONLY'))
    return `Redis at ${at} is a read-only replica: name its master in REDIS_URL.`
  return undefined
}

export const infoField = (info: string, field: string): string | undefined =>
  info
    .split('\n')
    .find((line) => line.startsWith(`${field}:`))
    ?.slice(field.length + 1)
    .trim()

export const versionMistake = (info: string): string | undefined => {
  const version = infoField(info, 'redis_version')
  return version !== undefined && Number.parseInt(version, 10) < MIN_REDIS_VERSION
    ? `Redis ${MIN_REDIS_VERSION} or newer is needed, this is ${version}.`
    : undefined
}

/** What loses messages, or the whole process, once Redis is full or crashes: a sentence each. */
export const warningsOf = (info: string | undefined): string[] => {
  if (info === undefined || infoField(info, 'redis_version') === undefined) {
    return [
      'Redis does not answer INFO, so appendonly and maxmemory-policy could not be checked: set appendonly yes and maxmemory-policy noeviction.',
    ]
  }
  const policy = infoField(info, 'maxmemory_policy') ?? 'noeviction'
  return [
    ...(infoField(info, 'aof_enabled') === '0'
      ? ['Redis keeps nothing of the last minutes when it crashes: set appendonly yes.']
      : []),
    ...(policy === 'noeviction'
      ? []
      : [`Redis may drop messages when it is full (${policy}): set maxmemory-policy noeviction.`]),
    ...(infoField(info, 'maxmemory') === '0'
      ? ['Redis has no memory limit, so the system may end it when memory runs out: set maxmemory.']
      : []),
  ]
}

const kindMistake = (info: string, isCluster: boolean, at: string): string | undefined => {
  const enabled = infoField(info, 'cluster_enabled')
  if (enabled === '1' && !isCluster) {
    return `Redis at ${at} is a node of a cluster: write redis+cluster:// in REDIS_URL.`
  }
  if (enabled === '0' && isCluster) return `Redis at ${at} is not a cluster: write redis:// in REDIS_URL.`
  return undefined
}

const login = ({ username, password }: RedisAddress): string => {
  if (password === undefined) return ''
  return commandText(['AUTH', ...(username === undefined ? [] : [username]), password])
}

const probe = (address: RedisAddress, prefix: string): string =>
  login(address) +
  commandText(['INFO']) +
  commandText(['EVAL', 'return 1', '0']) +
  commandText(['SET', `${prefix}{ping}`, '', 'PX', `${PROBE_TTL_MS}`]) +
  commandText(['QUIT'])

/** What the first one that answers says of itself; undefined when none does. */
export const infoOfRedis = async (url: string): Promise<string | undefined> => {
  const address = parseRedisUrl(url)
  for (const place of address.hosts) {
    const commands = login(address) + commandText(['INFO']) + commandText(['QUIT'])
    const { text } = await hear(place, address.tls !== undefined, commands)
    if (speaksRedis(text)) return parseReplies(text).find((reply) => reply.includes('redis_version:')) ?? ''
  }
  return undefined
}

/** The mistake in one sentence; undefined when there is none, and when Redis is away or busy. */
export const diagnoseRedis = async (url: string, prefix = 'belfry:'): Promise<string | undefined> => {
  const address = parseRedisUrl(url)
  const isTls = address.tls !== undefined
  for (const place of address.hosts) {
    const at = `${place.host}:${place.port}`
    const heard = await hear(place, isTls, probe(address, prefix))
    if (!speaksRedis(heard.text)) {
      const mistake = await (isTls ? tlsMistake : plainMistake)(place, at, heard)
      if (mistake !== undefined) return mistake
      // Another node of a cluster may answer.
      continue
    }
    const replies = parseReplies(heard.text)
    const info = replies.find((reply) => reply.includes('redis_version:')) ?? ''
    // Without INFO there is more to complain of: a user may lack that one alone.
    const refusals = replies.filter((reply) => !/^NOPERM.*'info'/.test(reply))
    return (
      versionMistake(info) ??
      kindMistake(info, address.isCluster, at) ??
      refusals.map((reply) => mistakeOfReply(reply, at)).find((mistake) => mistake !== undefined)
    )
  }
  return undefined
}
