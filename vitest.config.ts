import { defineConfig } from 'vitest/config'

/**
 * `--mode browser` runs what needs a real browser: a newcomer's `npm test` needs nothing but npm. `--mode fleet` runs the
 * published clients once more, against two relays and two notify servers on one Redis. `--mode alone` runs what measures
 * how long a bystander waits, or listens where only one can, and wants the machine for itself. `--mode soak` runs what
 * lasts as long as one wants.
 */
const FILES: Record<string, string> = {
  browser: 'test/**/*.browser.ts',
  fleet: 'test/compat/**/*.test.ts',
  alone: 'test/**/*.alone.ts',
  soak: 'test/**/*.soak.ts',
}

export default defineConfig(({ mode }) => ({
  resolve: { conditions: ['source', 'node', 'import', 'default'] },
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    include: [FILES[mode] ?? 'test/**/*.test.ts'],
    env: mode === 'fleet' ? { BELFRY_TEST_FLEET: 'yes' } : {},
    globalSetup: [
      ...(mode === 'browser' ? [] : ['test/support/redis-setup.ts']),
      'test/support/capture/whole-run.ts',
    ],
    setupFiles: ['test/support/capture/test-process.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // Many tests have servers, Redis and wallets on the same few cores, and deadlines. Where nobody looks on, one that was
    // too slow gets a second chance; the report names it all the same (`retry x1`).
    retry: process.env.CI ? 1 : 0,
    pool: 'forks',
    maxWorkers: mode === 'alone' || mode === 'soak' ? 1 : 2,
  },
}))
