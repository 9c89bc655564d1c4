/**
 * How often a property is tried: a tenth of what it is worth, which finds what a change breaks; all of it where
 * BELFRY_TEST_RUNS is `all`, as in `.ci/run`.
 */
export const runs = (all: number): number =>
  process.env.BELFRY_TEST_RUNS === 'all' ? all : Math.max(50, Math.ceil(all / 10))
