/** Whether the secret is the one that the store was first used with: a start is refused with another. Writes nothing. */
import { createVault } from '../../notify/apps/vault.ts'
import type { Config } from '../../server/config/config.ts'
import { loadSecrets, type Secrets } from '../../server/config/secret-files.ts'
import { StartError } from '../../server/config/start-error.ts'
import type { Stores } from '../../storage/stores.ts'
import { type Finding, failed } from './finding.ts'

/** Undefined where there is none; `secretOnDisk` tells of it. */
const secretsOf = ({ data, secret, previousSecret }: Config): Secrets | undefined => {
  const never = () => {
    throw new Error('No secret is made here')
  }
  try {
    return loadSecrets(data, { secret, previousSecret }, { randomBytes: never, hasStore: true })
  } catch (error) {
    if (error instanceof StartError) return undefined
    throw error
  }
}

/** `whose` is what the secret does not belong to. */
export const sealedWith = async (
  stores: { notify: Pick<Stores['notify'], 'storedServerKeys'> },
  config: Config,
  whose: string,
): Promise<Finding[]> => {
  const secrets = secretsOf(config)
  const kept = await stores.notify.storedServerKeys()
  if (!secrets || kept?.relay === undefined) return []
  try {
    createVault(secrets.secret, undefined, secrets.previous).open(kept.relay)
    return []
  } catch {
    return [
      failed(
        'secret',
        `${whose} was first used with another secret, so no server starts: put that one into BELFRY_SECRET.`,
      ),
    ]
  }
}
