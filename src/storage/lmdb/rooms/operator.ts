/**
 * The operator's approvals and log in LMDB.
 *
 * | table | key | value |
 * |---|---|---|
 * | operator.approvals | approval id | the approval, and which attempt finished it |
 * | operator.kept | keptUntil, approval id | – |
 * | operator.chains | project, hash of the chain | the chain |
 * | operator.log | project, hash of the chain, height | the microblock, and its hash |
 */
import type { Approval, Chain, OperatorStore } from '../../../sessions/operator/store.ts'
import { BYTES, type Bytes, name, named, number, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

/** Of what is kept no longer, removed with each new approval. */
const BATCH = 100

/** An approval, and which attempt finished it. */
export type Row = Approval & { attempt?: string }
/** A row of the log. */
export interface Logged {
  mbHash: string
  microblock: string
}

/** What the key of a row of the log says; `chain` is the key of its chain. Hashes are base64: no separator in them. */
export const loggedAt = (at: Buffer): { chain: Buffer; projectId: string; height: number } => {
  // Behind the name of the chain: a separator, the height.
  const chain = at.subarray(0, at.length - 9)
  const height = at.readDoubleBE(at.length - 8)
  return { chain, projectId: chain.toString('utf8', 0, chain.indexOf(0)), height }
}

export const createLmdbOperator = (env: Env): OperatorStore => {
  const approvals: Rows<Row> = env.openDB({ name: 'operator.approvals', ...ROWS })
  const kept: Bytes = env.openDB({ name: 'operator.kept', ...BYTES })
  const chains: Rows<Chain> = env.openDB({ name: 'operator.chains', ...ROWS })
  const log: Rows<Logged> = env.openDB({ name: 'operator.log', ...ROWS })

  const chainAt = (projectId: string, vbHash: string) => named(projectId, name(vbHash))
  const logAt = (projectId: string, vbHash: string, height: number) =>
    named(projectId, named(vbHash, number(height)))

  return {
    async createApproval(approval, now) {
      const [at, keptAt] = [name(approval.id), number(approval.keptUntil)]
      await env.transaction(() => {
        for (const old of [...kept.getKeys({ end: number(now), limit: BATCH })]) {
          kept.remove(old)
          approvals.remove(old.subarray(keptAt.length))
        }
        approvals.put(at, approval)
        kept.put(Buffer.concat([keptAt, at]), PRESENT)
      })
    },

    async approval(id) {
      const row = approvals.get(name(id))
      if (!row) return undefined
      const { attempt: _, ...approval } = row
      return approval
    },

    async nameSigner(id, signer, microblock) {
      const at = name(id)
      await env.transaction(() => {
        const row = approvals.get(at)
        if (row && row.signer === undefined && !row.outcome) approvals.put(at, { ...row, signer, microblock })
      })
    },

    async anchor({ id, projectId, attempt, outcome, previousHash, genesisSeed, microblock }, now) {
      const [at, chain] = [name(id), chainAt(projectId, outcome.vbHash)]
      const entry = logAt(projectId, outcome.vbHash, outcome.height)
      return env.transaction(() => {
        const row = approvals.get(at)
        if (row?.outcome) return row.attempt === attempt ? 'anchored' : 'finished'
        if (!row || row.expiresAt <= now) return 'unknown'
        const last = chains.get(chain)
        const { vbHash, mbHash, height } = outcome
        if (height !== (last?.height ?? 0) + 1 || (last && last.head !== previousHash)) return 'moved'
        approvals.put(at, { ...row, attempt, outcome })
        chains.put(chain, { vbHash, genesisSeed: last?.genesisSeed ?? genesisSeed, height, head: mbHash })
        log.put(entry, { mbHash, microblock })
        return 'anchored'
      })
    },

    async chain(projectId, vbHash) {
      return chains.get(chainAt(projectId, vbHash))
    },

    async microblocks(projectId, vbHash, { after, limit }) {
      const start = logAt(projectId, vbHash, after + 1)
      const end = logAt(projectId, vbHash, Number.MAX_SAFE_INTEGER)
      return [...log.getRange({ start, end, limit })].map(({ key, value }) => ({
        height: key.readDoubleBE(key.length - 8),
        microblock: value.microblock,
      }))
    },

    async restoreMicroblocks(records) {
      await env.transaction(() => {
        for (const { projectId, vbHash, height, mbHash, genesisSeed, microblock } of records) {
          const at = chainAt(projectId, vbHash)
          if (height !== (chains.get(at)?.height ?? 0) + 1) continue
          chains.put(at, { vbHash, genesisSeed, height, head: mbHash })
          log.put(logAt(projectId, vbHash, height), { mbHash, microblock })
        }
      })
    },
  }
}
