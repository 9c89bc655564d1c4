import { readFileSync } from 'node:fs'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'

/**
 * What runs together, by the ends of file names. Without a mode: what a change usually breaks, on the embedded store and one Redis.
 *
 * - `stories`: whole processes, faults, attacks and crowds: what waits for real deadlines, or computes for minutes.
 * - `fleet`: the published clients against two relays and two notify servers on one Redis, and the contracts of the
 *   stores on a Redis Cluster.
 * - `browser`: what needs a real browser. `npm test` needs nothing but npm.
 * - `alone`: what measures how long a bystander waits, or listens where only one can; it wants the machine for itself.
 * - `soak`: what lasts as long as one wants.
 * - `room`: everything of one folder, on every engine.
 */
interface Mode {
  files: string[]
  /** Suites that are held on several stores: all without the cluster, or on the cluster only. Unset: on each. */
  cluster?: 'no' | 'only'
  workers: number
  /** Files of one worker share the modules that they load, whose loading would be a quarter of the time of short files. */
  shares?: true
}

const TESTS: Mode = { files: ['test/**/*.test.ts'], cluster: 'no', workers: 3, shares: true }
const CLUSTER = ['test/contract/*.test.ts', 'test/storage/redis/{buckets,mq,notify,relay}.test.ts']
const MODES: Record<string, Mode> = {
  stories: { files: ['test/**/*.story.ts'], cluster: 'no', workers: 2, shares: true },
  fleet: { files: ['test/compat/*.{test,story}.ts', ...CLUSTER], cluster: 'only', workers: 2, shares: true },
  browser: { files: ['test/**/*.browser.ts'], workers: 2 },
  alone: { files: ['test/**/*.alone.ts'], workers: 1, shares: true },
  soak: { files: ['test/**/*.soak.ts'], workers: 1 },
  room: { files: ['test/**/*.test.ts', 'test/**/*.story.ts'], workers: 2 },
}

/** The packages that vite loads for us: without their source maps, which name files that they leave out. */
const LOADED_HERE = /\/node_modules\/(?:@modelcontextprotocol|eventsource-parser)\//
const withoutSourceMaps = {
  name: 'without source maps',
  load: (id: string) =>
    LOADED_HERE.test(id) ? readFileSync(id, 'utf8').replace(/^\/\/# sourceMappingURL=.*$/m, '') : undefined,
}

export default defineConfig(({ mode }) => {
  const { files, cluster, workers, shares } = MODES[mode] ?? TESTS
  return {
    plugins: [withoutSourceMaps],
    resolve: {
      conditions: ['source', 'node', 'import', 'default'],
      // Packages of the workspace are tested from their sources; test/packages tests what is published of them.
      alias: [
        { find: /^@belfry\/([a-z]+)$/, replacement: `${import.meta.dirname}/packages/$1/src/index.ts` },
      ],
    },
    ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
    test: {
      include: files,
      env: {
        ...(mode === 'fleet' && { BELFRY_TEST_FLEET: 'yes' }),
        ...(cluster && { BELFRY_TEST_CLUSTER: cluster }),
      },
      globalSetup: [
        'test/support/memory-setup.ts',
        'test/support/capture/whole-run.ts',
        ...(cluster === 'only' ? ['test/support/cluster-setup.ts'] : []),
      ],
      setupFiles: ['test/support/setup.ts'],
      testTimeout: 60_000,
      hookTimeout: 60_000,
      pool: 'forks',
      // The condition `source` means its TypeScript there too, which Node does not run.
      server: { deps: { inline: [LOADED_HERE] } },
      isolate: !shares,
      maxWorkers: workers,
      sequence: { sequencer: LongestFirst },
    },
  }
})
