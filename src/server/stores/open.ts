/** Opens the data directory, its secrets and the store of this process, then waits until the store can be used. */
import type { ReleaseStack } from '../../platform/runtime/release-stack.ts'
import type { Stores } from '../../storage/stores.ts'
import type { Config } from '../config/config.ts'
import { prepareDataDir } from '../config/data-dir.ts'
import { lockDataDir } from '../config/data-lock.ts'
import { loadSecrets, removeRetiredSecrets, type Secrets } from '../config/secret-files.ts'
import { StartError } from '../config/start-error.ts'
import type { Runtime } from '../runtime.ts'
import type { UntilAvailable } from '../start-without-store.ts'
import { asStartError, hasStore, openEmbedded } from './embedded.ts'

/** Loaded only where Redis is the store: its driver would be a tenth of the start of a server without one. */
const loadRedis = () => import('./redis.ts')

const refuseUnfinishedTransfer = async (stores: Stores): Promise<void> => {
  if ((await stores.transfer.note()) !== undefined) {
    throw new StartError(['The store holds half of a migration or a restore: run that command again.'])
  }
}

/**
 * Opens what lasts. The directory's lock and the store are released by `owned`. A Redis that does not answer is opened, too:
 * `awaitStore` waits for it. Throws `StartError`.
 */
export const openStores = async (
  config: Config,
  { clock, log, randomBytes }: Runtime,
  owned: ReleaseStack,
): Promise<{ stores: Stores; secrets: Secrets }> => {
  prepareDataDir(config.data)
  owned.use(await lockDataDir(config.data))
  removeRetiredSecrets(config.data, clock.now())
  const isSealed = config.redisUrl === undefined && hasStore(config.data)
  const readSecrets = () => loadSecrets(config.data, config, { randomBytes, hasStore: isSealed })
  // A new secret is on disk before its store. A store that exists may be half of another one, which is reported first.
  const newSecrets = isSealed ? undefined : readSecrets()
  if (config.redisUrl !== undefined && config.secret === undefined) {
    log.warn(
      {},
      'BELFRY_SECRET is not set: other processes on this Redis need the secret of this data directory',
    )
  }
  const stores = owned.use(
    config.redisUrl === undefined
      ? await openEmbedded(config.data, { log, clock })
      : await (await loadRedis()).openCheckedRedis({ url: config.redisUrl, log }),
  )
  if (isSealed) await refuseUnfinishedTransfer(stores)
  return { stores, secrets: newSecrets ?? readSecrets() }
}

/** Resolves when the store answers, takes writes and has this version's format. Throws `StartError`. */
export const awaitStore = async (
  stores: Stores,
  { redisUrl }: Pick<Config, 'redisUrl'>,
  untilAvailable: UntilAvailable,
): Promise<void> => {
  if (redisUrl !== undefined) {
    const { refuseRedisMistakes } = await loadRedis()
    await untilAvailable(async () => {
      // A Redis that did not answer when it was opened may be a wrong one.
      await refuseRedisMistakes(redisUrl)
      await stores.ping()
    })
  }
  await untilAvailable(() => stores.claimFormat()).catch(asStartError)
  await untilAvailable(() => refuseUnfinishedTransfer(stores))
}
