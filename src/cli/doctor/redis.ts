/** The Redis of REDIS_URL: whether it is one that serves, how it keeps what it has, and what time it is there. */
import type { Config } from '../../server/config/config.ts'
import { reasonOf } from '../../server/config/start-error.ts'
import { diagnoseRedis, infoField, infoOfRedis, warningsOf } from '../../storage/redis/mistakes.ts'
import { openRedis } from '../../storage/redis/open.ts'
import { parseRedisUrl } from '../../storage/redis/url.ts'
import { type Finding, failed, ok, warning } from './finding.ts'
import { sealedWith } from './sealed.ts'

/** Beyond this leases and expirations of processes and Redis do not fit together, ms. */
export const MAX_CLOCK_DIFFERENCE_MS = 5_000

const clockOf = (info: string): Finding[] => {
  const micros = Number(infoField(info, 'server_time_usec'))
  if (!Number.isFinite(micros) || micros === 0) return []
  const differenceMs = Math.abs(micros / 1000 - Date.now())
  const says = `The clock of this machine and that of Redis differ by ${(differenceMs / 1000).toFixed(1)} s`
  return differenceMs > MAX_CLOCK_DIFFERENCE_MS
    ? [failed('clock', `${says}: run a time service on both.`)]
    : [ok('clock', `${says}.`)]
}

/** Nothing where it cannot be looked at: that has been told, or the store is of another version. */
const secretOf = async (redisUrl: string, config: Config): Promise<Finding[]> => {
  try {
    await using stores = await openRedis({ url: redisUrl })
    return await sealedWith(stores, config, 'The Redis of REDIS_URL')
  } catch (error) {
    return [failed('redis', `What it keeps cannot be read: ${reasonOf(error)}.`)]
  }
}

export const redisStore = async (config: Config): Promise<Finding[]> => {
  const { redisUrl } = config
  if (redisUrl === undefined) return []
  const { hosts, isCluster } = parseRedisUrl(redisUrl)
  const at = hosts.map(({ host, port }) => `${host}:${port}`).join(', ')
  const mistake = await diagnoseRedis(redisUrl)
  if (mistake !== undefined) return [failed('redis', mistake)]
  const info = await infoOfRedis(redisUrl)
  if (info === undefined)
    return [failed('redis', `No Redis answers at ${at}: start it, or put the right address into REDIS_URL.`)]
  const policy = infoField(info, 'maxmemory_policy')
  const warnings = warningsOf(info)
  return [
    ok(
      'redis',
      `Redis ${infoField(info, 'redis_version')} at ${at}, ${isCluster ? 'a cluster' : 'a single one'}, maxmemory-policy ${policy}.`,
    ),
    ...warnings.map((sentence) => warning('redis', sentence)),
    ...clockOf(info),
    ...(await secretOf(redisUrl, config)),
  ]
}
