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
import { name, named, number } from '../../bytes.ts'
import { BYTES, type Bytes, PRESENT, ROWS, type Rows } from '../bytes.ts'
import type { Env } from '../env.ts'

/** Of what is kept no longer, removed with each new approval. */
const SWEEP_BATCH_SIZE = 100

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

const openOperatorTables = (env: Env) => {
  const approvals: Rows<Row> = env.openDB({ name: 'operator.approvals', ...ROWS })
  const kept: Bytes = env.openDB({ name: 'operator.kept', ...BYTES })
  const chains: Rows<Chain> = env.openDB({ name: 'operator.chains', ...ROWS })
  const log: Rows<Logged> = env.openDB({ name: 'operator.log', ...ROWS })
  return { env, approvals, kept, chains, log }
}
type OperatorTables = ReturnType<typeof openOperatorTables>

const chainAt = (projectId: string, vbHash: string) => named(projectId, name(vbHash))

const logAt = (projectId: string, vbHash: string, height: number) =>
  named(projectId, named(vbHash, number(height)))

const approvalVerbs = (
  operator: OperatorTables,
): Pick<OperatorStore, 'createApproval' | 'approval' | 'nameSigner'> => ({
  async createApproval(approval, now) {
    const [at, keptAt] = [name(approval.id), number(approval.keptUntil)]
    await operator.env.transaction(() => {
      for (const old of [...operator.kept.getKeys({ end: number(now), limit: SWEEP_BATCH_SIZE })]) {
        operator.kept.remove(old)
        operator.approvals.remove(old.subarray(keptAt.length))
      }
      operator.approvals.put(at, approval)
      operator.kept.put(Buffer.concat([keptAt, at]), PRESENT)
    })
  },

  async approval(id) {
    const row = operator.approvals.get(name(id))
    if (!row) return undefined
    const { attempt: _, ...approval } = row
    return approval
  },

  async nameSigner(id, signer, microblock) {
    const at = name(id)
    await operator.env.transaction(() => {
      const row = operator.approvals.get(at)
      if (row && row.signer === undefined && !row.outcome)
        operator.approvals.put(at, { ...row, signer, microblock })
    })
  },
})

const logVerbs = (
  operator: OperatorTables,
): Pick<OperatorStore, 'anchor' | 'chain' | 'microblocks' | 'restoreMicroblocks'> => ({
  async anchor({ id, projectId, attempt, outcome, previousHash, genesisSeed, microblock }, now) {
    const [at, chain] = [name(id), chainAt(projectId, outcome.vbHash)]
    const entry = logAt(projectId, outcome.vbHash, outcome.height)
    return operator.env.transaction(() => {
      const row = operator.approvals.get(at)
      if (row?.outcome) return row.attempt === attempt ? 'anchored' : 'finished'
      if (!row || row.expiresAt <= now) return 'unknown'
      const last = operator.chains.get(chain)
      const { vbHash, mbHash, height } = outcome
      if (height !== (last?.height ?? 0) + 1 || (last && last.head !== previousHash)) return 'moved'
      operator.approvals.put(at, { ...row, attempt, outcome })
      operator.chains.put(chain, {
        vbHash,
        genesisSeed: last?.genesisSeed ?? genesisSeed,
        height,
        head: mbHash,
      })
      operator.log.put(entry, { mbHash, microblock })
      return 'anchored'
    })
  },

  async chain(projectId, vbHash) {
    return operator.chains.get(chainAt(projectId, vbHash))
  },

  async microblocks(projectId, vbHash, { after, limit }) {
    const start = logAt(projectId, vbHash, after + 1)
    const end = logAt(projectId, vbHash, Number.MAX_SAFE_INTEGER)
    return [...operator.log.getRange({ start, end, limit })].map(({ key, value }) => ({
      height: key.readDoubleBE(key.length - 8),
      microblock: value.microblock,
    }))
  },

  async restoreMicroblocks(records) {
    await operator.env.transaction(() => {
      for (const { projectId, vbHash, height, mbHash, genesisSeed, microblock } of records) {
        const at = chainAt(projectId, vbHash)
        if (height !== (operator.chains.get(at)?.height ?? 0) + 1) continue
        operator.chains.put(at, { vbHash, genesisSeed, height, head: mbHash })
        operator.log.put(logAt(projectId, vbHash, height), { mbHash, microblock })
      }
    })
  },
})

export const createLmdbOperator = (env: Env): OperatorStore => {
  const operator = openOperatorTables(env)

  return {
    ...approvalVerbs(operator),
    ...logVerbs(operator),
  }
}
