/**
 * The operator's approvals and log in Redis. What belongs to one project shares the hash tag `{o:<project>}`.
 *
 * | key | type | what |
 * |---|---|---|
 * | `{oa:<approval id>}` | string | its project: written first, forgotten with it |
 * | `{o:<project>}:a:<approval id>` | hash | the approval, and which attempt finished it |
 * | `{o:<project>}:c:<hash>` | hash | a chain: genesisSeed, height, head |
 * | `{o:<project>}:l:<hash>` | list | its microblocks, by height: hash, space, microblock |
 */
import { z } from 'zod'
import type { Anchored, Approval, LoggedMicroblock, OperatorStore } from '../../../sessions/operator/store.ts'
import type { RedisConnection } from '../connection.ts'
import { operatorAnchor } from '../lua/operator/anchor.ts'
import { operatorCreate } from '../lua/operator/create.ts'
import { operatorNameSigner } from '../lua/operator/name-signer.ts'
import { operatorRestore } from '../lua/operator/restore.ts'
import { KEY_GRACE_MS, name } from '../relay/rows.ts'
import { text } from '../script.ts'

const whole = z.coerce.number().int()
const Outcome: z.ZodType<Anchored> = z.object({ vbHash: z.string(), mbHash: z.string(), height: z.number() })
const Row = z.object({
  id: z.string(),
  projectId: z.string(),
  microblock: z.string(),
  vbHash: z.string().exactOptional(),
  signer: z.string().exactOptional(),
  actorId: whole.exactOptional(),
  expiresAt: whole,
  keptUntil: whole,
  outcome: z
    .string()
    .transform((json) => Outcome.parse(JSON.parse(json)))
    .exactOptional(),
})
const ChainRow = z.object({ genesisSeed: z.string(), height: whole, head: z.string() })
/** What a list holds of a microblock. */
export const loggedOf = (entry: string): Pick<LoggedMicroblock, 'mbHash' | 'microblock'> => {
  const at = entry.indexOf(' ')
  return { mbHash: entry.slice(0, at), microblock: entry.slice(at + 1) }
}
const AnchorAnswer = z.enum(['anchored', 'finished', 'moved', 'unknown'])

export const createRedisOperator = (redis: RedisConnection): OperatorStore => {
  const { prefix, client } = redis
  const of = (projectId: string, kind: 'a' | 'c' | 'l', id: string) =>
    `${prefix}{o:${name(projectId)}}:${kind}:${name(id)}`
  const projectAt = (id: string) => `${prefix}{oa:${name(id)}}`
  const projectOf = (id: string) => redis.one(() => client.get(projectAt(id)))

  return {
    async createApproval({ outcome, ...approval }, now) {
      const { id, projectId, keptUntil } = approval
      // Time is the caller's; Redis only takes the memory back.
      const ttlMs = Math.max(1, keptUntil - now) + KEY_GRACE_MS
      await redis.one(() => client.set(projectAt(id), projectId, 'PX', ttlMs))
      const fields = Object.entries(approval).flat()
      if (outcome) fields.push('outcome', JSON.stringify(outcome))
      await redis.one(() => redis.script(operatorCreate, [of(projectId, 'a', id)], [ttlMs, ...fields]))
    },

    async approval(id): Promise<Approval | undefined> {
      const projectId = await projectOf(id)
      if (projectId === null) return undefined
      const fields = await redis.one(() => client.hgetall(of(projectId, 'a', id)))
      return fields.id === undefined ? undefined : Row.parse(fields)
    },

    async nameSigner(id, signer, microblock) {
      const projectId = await projectOf(id)
      if (projectId === null) return
      await redis.one(() => redis.script(operatorNameSigner, [of(projectId, 'a', id)], [signer, microblock]))
    },

    async anchor({ id, projectId, attempt, outcome, previousHash, genesisSeed, microblock }, now) {
      const { vbHash, mbHash, height } = outcome
      const keys = [of(projectId, 'a', id), of(projectId, 'c', vbHash), of(projectId, 'l', vbHash)]
      const about = [now, attempt, JSON.stringify({ vbHash, mbHash, height }), height]
      const links = [previousHash, genesisSeed, mbHash, `${mbHash} ${microblock}`]
      const answer = await redis.one(() => redis.script(operatorAnchor, keys, [...about, ...links]))
      return AnchorAnswer.parse(text(answer))
    },

    async chain(projectId, vbHash) {
      const fields = await redis.one(() => client.hgetall(of(projectId, 'c', vbHash)))
      return fields.head === undefined ? undefined : { vbHash, ...ChainRow.parse(fields) }
    },

    async microblocks(projectId, vbHash, { after, limit }) {
      const page = await redis.one(() => client.lrange(of(projectId, 'l', vbHash), after, after + limit - 1))
      return page.map((entry, at) => ({ height: after + at + 1, microblock: loggedOf(entry).microblock }))
    },

    async restoreMicroblocks(records) {
      for (const { projectId, vbHash, height, mbHash, genesisSeed, microblock } of records) {
        const keys = [of(projectId, 'c', vbHash), of(projectId, 'l', vbHash)]
        const entry = `${mbHash} ${microblock}`
        await redis.one(() => redis.script(operatorRestore, keys, [height, genesisSeed, mbHash, entry]))
      }
    },
  }
}
