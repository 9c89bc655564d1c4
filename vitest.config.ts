import { defineConfig } from 'vitest/config'

// `--mode browser` runs what needs a real browser: a newcomer's `npm test` needs nothing but npm.
export default defineConfig(({ mode }) => ({
  resolve: { conditions: ['source', 'node', 'import', 'default'] },
  ssr: { resolve: { conditions: ['source', 'node', 'import', 'default'] } },
  test: {
    include: [mode === 'browser' ? 'test/**/*.browser.ts' : 'test/**/*.test.ts'],
    globalSetup: mode === 'browser' ? [] : ['test/support/redis-setup.ts'],
    testTimeout: 20_000,
    hookTimeout: 30_000,
    pool: 'forks',
    maxWorkers: 2,
  },
}))
