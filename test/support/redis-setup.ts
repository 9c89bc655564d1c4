import { findRedis } from './redis.ts'

/** Before all tests, because an installation takes longer than a test may. What fails here fails in the tests again. */
export const setup = async (): Promise<void> => {
  if (!process.env.REDIS_URL) await findRedis().catch(() => {})
}
