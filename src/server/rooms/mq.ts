/** The message queues, put together: tokens, proofs, polls, the hub and its routes, sweeps. */
import type { Context, Hono } from 'hono'
import { mqRoutes } from '../../mq/http/routes.ts'
import { createFindKeys } from '../../mq/keys.ts'
import { MQ_RATES } from '../../mq/limits.ts'
import { createPolls } from '../../mq/polls.ts'
import { createProofs } from '../../mq/proof.ts'
import { createSealedMessages } from '../../mq/sealed-messages.ts'
import { createMqHub } from '../../mq/service.ts'
import { createTokens, tokenKeyFrom } from '../../mq/token.ts'
import { createRateLimits } from '../../platform/budgets/rate-limits.ts'
import { addressRules } from '../../platform/net/public-address.ts'
import { createPublicFetch } from '../../platform/net/public-fetch.ts'
import { createContentSeal } from '../../platform/runtime/content-seal.ts'
import { unmeasured } from '../../platform/telemetry.ts'
import { didWeb } from '../../protocol/did.ts'
import type { RoomContext } from '../context.ts'
import { contextAddress } from '../payer.ts'
import { createStoreSweeper } from '../sweeper.ts'

/** Between two looks for messages whose wake-up got lost, ms. */
const CATCH_UP_EVERY_MS = 5_000

export const buildMq = (context: RoomContext, root: Uint8Array): { routes: Hono; endPolls: () => void } => {
  const { config, urls, stores, clock, log, metrics: meter, randomBytes, owned, payerFor } = context
  const { keys } = stores
  const store = createSealedMessages(stores.mq, createContentSeal(root, randomBytes))
  // Another process may put what no wake-up tells us of.
  const catchUpEveryMs = config.redisUrl === undefined ? undefined : CATCH_UP_EVERY_MS
  const polls = owned.use(createPolls({ store, clock, meter }, { catchUpEveryMs }))
  const findKeys = createFindKeys({
    fetch: createPublicFetch({ rules: addressRules(config.allowPrivateAddresses.did) }),
    // The registry's store, so that a process without that room knows the keys, too.
    async speaksFor(identityKey, accountKey) {
      const entry = await keys.identity(identityKey, accountKey)
      return entry !== undefined && entry.revokedAt === undefined
    },
    clock,
  })
  const hub = createMqHub(
    {
      store,
      tokens: createTokens({
        key: tokenKeyFrom(root),
        issuer: didWeb(new URL(urls.publicUrl).host),
        clock,
        randomBytes,
      }),
      proofs: createProofs({ findKeys }),
      polls,
      limits: createRateLimits(stores.buckets, MQ_RATES, config.limits),
      clock,
      meter,
      randomBytes,
    },
    { domains: new Map(Object.entries(config.mq.domains)) },
  )
  owned.use(
    createStoreSweeper({ store, leaderTask: context.leaderTask('mq sweep'), clock, log, meter: unmeasured }),
  )
  const callerOf = (c: Context) => ({
    name: context.payerOf(contextAddress(context.addressOf)(c)),
    ...payerFor(c),
  })
  const routes = mqRoutes({ hub, callerOf, log, meter }, { url: urls.publicUrl })
  return { routes, endPolls: () => polls.stop() }
}
