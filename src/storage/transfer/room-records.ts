/** Records (`transfer/transfer.ts`) of the other rooms: keys, relay, jobs, contacts, message queues, operator and archive. */
import * as z from 'zod'
import type { Archived, Registration } from '../../archive/store.ts'
import type { Installation } from '../../contacts/store.ts'
import { ERASED, type IdentityEntry, type InviteEntry } from '../../keys/store.ts'
import type { AttendedQueue, PlacedMessage } from '../../mq/store.ts'
import type { Job } from '../../platform/jobs/job-queue.ts'
import { accountKey as accountKeyOf } from '../../protocol/caip.ts'
import type { StoredMessage, Watch } from '../../relay/store.ts'
import { keptWatch } from '../../relay/store-watches.ts'
import type { Approval, LoggedMicroblock } from '../../sessions/operator/store.ts'

const text = z.string()
const time = z.number()
const place = z.number().int().nonnegative()

/** How an entry is named in files from before entries were named by account, too. */
const namedAfter = (account: string): string => {
  if (account === '') return ERASED
  try {
    return accountKeyOf(account)
  } catch {
    return account
  }
}
export const identity: z.ZodType<IdentityEntry> = z
  .object({
    identityKey: text,
    accountKey: text.exactOptional(),
    account: text,
    cacao: text,
    revokedAt: time.exactOptional(),
    isProven: z.boolean().exactOptional(),
    isDefault: z.boolean().exactOptional(),
  })
  .transform((entry) => ({ ...entry, accountKey: entry.accountKey ?? namedAfter(entry.account) }))

export const invite: z.ZodType<InviteEntry & { accountKey: string }> = z.object({
  accountKey: text,
  inviteKey: text,
  account: text,
  identityKey: text,
})

const writtenMessage = z.object({
  topic: text,
  seq: place,
  message: text,
  id: text,
  tag: z.number(),
  attestation: text,
  publisher: text,
  publishedAt: time,
  expiresAt: time,
  payer: text.exactOptional(),
})
/** Backups from before messages had a payer are read, too. */
export const message: z.ZodType<StoredMessage> = writtenMessage.transform((written) => ({
  ...written,
  payer: written.payer ?? '',
}))

export const job: z.ZodType<Job> = z.object({
  queue: text,
  id: text,
  group: text,
  at: time,
  expiresAt: time,
  attempts: z.number(),
  failure: text.exactOptional(),
  body: z.unknown(),
})

export const watch: z.ZodType<Watch> = keptWatch.extend({
  clientId: text,
  // Backups that were made before know none of these.
  issuedAt: keptWatch.shape.issuedAt.default(0),
  state: keptWatch.shape.state.default('active'),
  refusals: keptWatch.shape.refusals.default(0),
  failingSince: keptWatch.shape.failingSince.default(0),
})

export const installation: z.ZodType<Installation> = z.object({ name: text, value: text, expiresAt: time })
export const mqMessage: z.ZodType<PlacedMessage> = z.object({
  domain: text,
  hashDID: text,
  place,
  id: text,
  message: text,
  sender: text.exactOptional(),
  messageSigned: z.literal(true).exactOptional(),
  payer: text.exactOptional(),
  expiresAt: time,
})

export const mqAttended: z.ZodType<AttendedQueue> = z.object({ domain: text, hashDID: text, until: time })

export const approval: z.ZodType<Approval> = z.object({
  id: text,
  projectId: text,
  microblock: text,
  vbHash: text.exactOptional(),
  signer: text.exactOptional(),
  actorId: z.number().exactOptional(),
  expiresAt: time,
  keptUntil: time,
  outcome: z.object({ vbHash: text, mbHash: text, height: place }).exactOptional(),
})

export const microblock: z.ZodType<LoggedMicroblock> = z.object({
  projectId: text,
  vbHash: text,
  height: place,
  mbHash: text,
  genesisSeed: text,
  microblock: text,
})

export const archived: z.ZodType<Archived> = z.object({
  topic: text,
  seq: place,
  id: text,
  message: text,
  tag: z.number(),
  at: time,
  expiresAt: time,
  owner: text.exactOptional(),
})

export const registration: z.ZodType<Registration> = z.object({
  clientId: text,
  tags: z.array(z.number()),
  owners: z.record(text, text).default({}),
  expiresAt: time,
})
