/** A Redis as the server and the commands open it: a mistake of the configuration, which no waiting ends, is refused. */
import { diagnoseRedis } from '../../storage/redis/mistakes.ts'
import { type OpenRedisOptions, openRedis } from '../../storage/redis/open.ts'
import type { Stores } from '../../storage/stores.ts'
import { StartError } from '../config/start-error.ts'

/** Throws `StartError`. */
export const refuseRedisMistakes = async (url: string): Promise<void> => {
  const mistake = await diagnoseRedis(url)
  if (mistake !== undefined) throw new StartError([mistake])
}

/** Throws `StartError`. One that is away is opened: it is waited for. */
export const openCheckedRedis = async (options: OpenRedisOptions): Promise<Stores> => {
  await refuseRedisMistakes(options.url)
  return openRedis(options)
}
