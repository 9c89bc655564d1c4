import { BaseSequencer, type TestSpecification } from 'vitest/node'

/**
 * Files of half a minute or more, the longest first, and those that wait between those that compute. By itself vitest
 * orders files by their size, and these are small: one that is taken last runs alone, while the other workers have
 * nothing left to do. What is not listed comes after them.
 */
const LONGEST = [
  ...['stories/push', 'stories/faults-kill', 'cli/migrate', 'stories/faults-stop', 'stories/broadcast-kills'],
  ...['stories/faults-cluster', 'stories/demo', 'security/house-malformed', 'stories/webhooks-sigkill'],
  ...['stories/faults-redis', 'compat/one-address', 'compat/notify', 'contract/transfer', 'sync/converge'],
  ...['packages/tarballs'],
]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = LONGEST.findIndex((name) => moduleId.includes(`/test/${name}.`))
  return at === -1 ? LONGEST.length : at
}

/** The order of vitest itself but for the longest files, which begin. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    return sorted.sort((a, b) => rank(a) - rank(b))
  }
}
