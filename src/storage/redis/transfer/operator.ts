/** What the operator keeps in Redis, as records. Its keys are walked: there is no list of them. */
import type { OperatorStore } from '../../../sessions/operator/store.ts'
import type { Page, Readers, Records } from '../../transfer/transfer.ts'
import type { RedisConnection } from '../connection.ts'
import { loggedOf } from '../rooms/operator.ts'
import { scanKeys } from '../scan.ts'

/** Microblocks that are read in one go. */
const PAGE_SIZE = 50
const [LOOKUP, OWN, LOG] = ['{oa:', '{o:', '}:l:']

export const createOperatorTransfer = (
  redis: RedisConnection,
  operator: OperatorStore,
): Pick<Readers, 'approval' | 'microblock'> => {
  const { client, prefix } = redis
  return {
    approval: {
      async *read({ now, after }) {
        for await (const { keys, from } of scanKeys(redis, { pattern: `${LOOKUP}*}` }, after)) {
          const ids = keys.map((key) => key.slice(prefix.length + LOOKUP.length, -1))
          const found = await Promise.all(ids.map((id) => operator.approval(id)))
          const records = found.filter((one) => one !== undefined && one.keptUntil > now)
          yield { records: records.filter((one) => one !== undefined), cursor: from }
        }
      },
      size: async () => undefined,
    },
    microblock: {
      async *read({ after }) {
        for await (const { keys, from } of scanKeys(redis, { pattern: `${OWN}*` }, after)) {
          for (const key of keys) {
            // Neither a project's id nor a hash has this in it.
            const at = key.lastIndexOf(LOG)
            if (at === -1) continue
            const projectId = key.slice(prefix.length + OWN.length, at)
            const vbHash = key.slice(at + LOG.length)
            const { genesisSeed = '' } = (await operator.chain(projectId, vbHash)) ?? {}
            for (let start = 0; ; start += PAGE_SIZE) {
              const entries = await redis.one(() => client.lrange(key, start, start + PAGE_SIZE - 1))
              const page: Page<Records['microblock']> = {
                records: entries.map((entry, index) => ({
                  ...{ projectId, vbHash, genesisSeed, height: start + index + 1 },
                  ...loggedOf(entry),
                })),
                cursor: from,
              }
              if (entries.length > 0) yield page
              if (entries.length < PAGE_SIZE) break
            }
          }
        }
      },
      size: async () => undefined,
    },
  }
}
