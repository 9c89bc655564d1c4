import { restore as run } from '../../storage/transfer/restore.ts'
import { countOf } from '../../storage/transfer/sum.ts'
import { JSON_FLAG, print, printJson } from '../admin-client.ts'
import { type Args, defineCommand, UsageError } from '../command.ts'
import { createProgress } from '../progress.ts'
import { openStore, STORE_LOCATION_HINT, storeLocationOr } from '../store-location.ts'
import { asFailure } from './migrate.ts'

const flags = {
  from: { type: 'string', valueHint: 'FILE', description: 'A file that `belfry backup` wrote' },
  to: {
    type: 'string',
    valueHint: STORE_LOCATION_HINT,
    description: 'An empty store [REDIS_URL, or the one in BELFRY_DATA]',
  },
  ...JSON_FLAG,
} as const satisfies Args

export const restore = defineCommand({
  args: flags,
  examples: ['restore --from belfry.backup --to lmdb:./belfry-data'],
  async run({ one, on }) {
    const { from: file } = one
    if (file === undefined) throw new UsageError('--from is missing: the file')
    const to = storeLocationOr('to', one.to)
    const target = await openStore(to, 'target')
    const progress = createProgress(on.has('json') ? undefined : process.stderr)
    try {
      const { tally, left, ending } = await run(
        { target: target.stores.transfer, now: Date.now },
        { file, progress },
      ).catch(asFailure)
      progress.end()
      const records = countOf(tally)
      if (on.has('json')) return printJson({ records, file, store: to.name, leftOut: left, ending })
      print(
        `${records} records of ${file} are in ${to.name}: counts and checksums agree.`,
        ...(ending > 0
          ? [`${ending} more have ended since, or end within minutes, as answers to requests do.`]
          : []),
        ...(left > 0 ? [`${left} were left out: what they belong to is not in the backup.`] : []),
        'Its servers need the secret of the store that was backed up, as BELFRY_SECRET.',
      )
    } finally {
      progress.end()
      await target[Symbol.asyncDispose]()
    }
  },
})
