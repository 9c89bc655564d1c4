/** By BELFRY_TEST_RUNS, into how many parts the tries of a property are divided, of which one is made. */
const PARTS: Record<string, number> = { all: 1, fifth: 5 }

/**
 * How often a property is tried: a tenth of what it is worth, which finds what a change breaks; a fifth in `.ci/run`, each
 * time with others; all of it in `npm run test:full`.
 */
export const runs = (all: number): number =>
  Math.max(Math.min(all, 50), Math.ceil(all / (PARTS[process.env.BELFRY_TEST_RUNS ?? ''] ?? 10)))

/**
 * The size of a crowd in a story, or its number of rounds or kills: a fifth of it, or another `part` where it costs too
 * much, and all of it where BELFRY_TEST_SIZE is `full`, as in `npm run test:full`. `least` is the smallest size at which
 * the story still shows what it asserts. Bounds that depend on the size are computed from it.
 */
export const crowd = (all: number, least: number, part = 5): number =>
  process.env.BELFRY_TEST_SIZE === 'full' ? all : Math.min(all, Math.max(least, Math.ceil(all / part)))
