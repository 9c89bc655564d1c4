import { migrate as run, TransferFailure } from '../../storage/transfer/migration.ts'
import { countOf } from '../../storage/transfer/sum.ts'
import { JSON_FLAG, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand } from '../command.ts'
import { CommandFailure } from '../command-failure.ts'
import { createProgress } from '../progress.ts'
import { openStore, parseStoreLocation, STORE_LOCATION_HINT, secretOf } from '../store-location.ts'

const flags = {
  from: {
    type: 'string',
    valueHint: STORE_LOCATION_HINT,
    description: 'The store that is copied; its servers are stopped',
  },
  to: {
    type: 'string',
    valueHint: STORE_LOCATION_HINT,
    description: 'An empty store, or one that this command began to fill',
  },
  ...JSON_FLAG,
} as const satisfies Args

/** What a transfer refuses is a sentence, not a defect. */
export const asFailure = (error: unknown): never => {
  if (error instanceof TransferFailure) throw new CommandFailure(error.message, { cause: error })
  throw error
}

export const migrate = defineCommand({
  args: flags,
  examples: ['migrate --from lmdb:./belfry-data --to redis://127.0.0.1:6379'],
  async run({ one, on }) {
    const [from, to] = [parseStoreLocation('from', one.from), parseStoreLocation('to', one.to)]
    if (from.name === to.name) throw new CommandFailure('--from and --to are the same store.')
    const source = await openStore(from, 'source')
    try {
      const target = await openStore(to, 'target')
      const progress = createProgress(on.has('json') ? undefined : process.stderr)
      try {
        const { tally, resumed, left } = await run(
          { source: source.stores.transfer, target: target.stores.transfer, now: Date.now },
          { from: from.name, progress },
        )
        progress.end()
        const records = countOf(tally)
        if (on.has('json')) {
          return printJson({ records, from: from.name, to: to.name, resumed, leftOut: left })
        }
        print(
          `${resumed ? 'Finished what was begun: ' : ''}${from.name} is copied to ${to.name}.`,
          `${records} records were read again on both sides: counts and checksums agree.`,
          ...(left > 0 ? [`${left} were left out: what they belong to had ended.`] : []),
          `Keep the secret: servers on ${to.name} need ${secretOf(from)}, as BELFRY_SECRET.`,
        )
      } finally {
        progress.end()
        await target[Symbol.asyncDispose]()
      }
    } catch (error) {
      asFailure(error)
    } finally {
      await source[Symbol.asyncDispose]()
    }
  },
})
