/**
 * What the operator asks of storage. Promises resolve when durable. What belongs to one project changes atomically:
 * approvals with the virtual blockchains that they extend.
 */
import * as z from 'zod'
import type { Clock } from '../../platform/runtime/clock.ts'
import { number } from '../../storage/bytes.ts'
import { json, text } from '../../storage/codec.ts'
import type { Kv } from '../../storage/kv.ts'
import { defineTable, read, transact } from '../../storage/table.ts'

/** A microblock that waits to be approved, or was. */
export interface Approval {
  /** The `anchorRequestId`: random, and who knows it may approve where no signer is named. */
  id: string
  projectId: string
  /** As it is to be signed, serialised, base64. */
  microblock: string
  /** The chain that it extends, base64; absent when it begins one. */
  vbHash?: string
  /** Whose signature it needs: `SIG:SECP256K1:PK{…}`. Absent until an actor gives its key. */
  signer?: string
  /** Number of the actor whose keys are asked for. */
  actorId?: number
  /** Unix ms: not approved after it. */
  expiresAt: number
  /** Unix ms: forgotten after it. */
  keptUntil: number
  outcome?: Anchored
}

/** Hashes in base64. */
export interface Anchored {
  vbHash: string
  mbHash: string
  height: number
}

/** A virtual blockchain, as far as its last microblock tells. */
export interface Chain {
  vbHash: string
  /** `previousHash` of its first microblock, base64. */
  genesisSeed: string
  height: number
  /** Hash of its last microblock, base64. */
  head: string
}

/** A microblock in its place in the log, as transfers move it. */
export interface LoggedMicroblock {
  projectId: string
  vbHash: string
  height: number
  mbHash: string
  genesisSeed: string
  /** With its signature, serialised, base64. */
  microblock: string
}

export interface Anchoring {
  id: string
  projectId: string
  /** Random: who repeats itself is told the same again. */
  attempt: string
  outcome: Anchored
  /** Base64. Must be the head of the chain, unless this is its first microblock. */
  previousHash: string
  genesisSeed: string
  /** With its signature, serialised, base64. */
  microblock: string
}

export interface OperatorStore {
  /** Puts a finished one back, too. Unix ms `now`. */
  createApproval(approval: Approval, now: number): Promise<void>
  approval(id: string): Promise<Approval | undefined>
  /** Names the signer of an open approval, and the microblock with its keys, unless it has one: the first one counts. */
  nameSigner(id: string, signer: string, microblock: string): Promise<void>
  /**
   * One step: the microblock goes to the end of its chain and the approval is finished. `finished`: it was already, by
   * another attempt. `moved`: the chain ends elsewhere by now. `unknown`: there is no such approval, or it has expired at
   * `now`. Of several at once one is `anchored`.
   */
  anchor(anchoring: Anchoring, now: number): Promise<'anchored' | 'finished' | 'moved' | 'unknown'>
  chain(projectId: string, vbHash: string): Promise<Chain | undefined>
  /** A page of the log, by height. */
  microblocks(
    projectId: string,
    vbHash: string,
    page: { after: number; limit: number },
  ): Promise<{ height: number; microblock: string }[]>
  /** Puts microblocks of one chain back, in their order, behind those that are there; bears repetition. */
  restoreMicroblocks(records: readonly LoggedMicroblock[]): Promise<void>
}

/** An approval, and which attempt finished it. */
type KeptApproval = Approval & { attempt?: string }
const approvalSchema: z.ZodType<KeptApproval> = z.object({
  id: z.string(),
  projectId: z.string(),
  microblock: z.string(),
  vbHash: z.string().exactOptional(),
  signer: z.string().exactOptional(),
  actorId: z.number().exactOptional(),
  expiresAt: z.number(),
  keptUntil: z.number(),
  outcome: z.object({ vbHash: z.string(), mbHash: z.string(), height: z.number() }).exactOptional(),
  attempt: z.string().exactOptional(),
})

/** The partition is the project, where nothing else is said. */
export const OPERATOR_TABLES = {
  /** The partition is the id of an approval, the value its project: written first, forgotten with it. */
  projects: defineTable({ name: 'operator.projects', shape: 'cell', ends: true, codec: text }),
  /** The subject is the id. */
  approvals: defineTable({
    name: 'operator.approvals',
    shape: 'cell',
    ends: true,
    codec: json(approvalSchema),
  }),
  /** The subject is the hash of the chain. */
  chains: defineTable({
    name: 'operator.chains',
    shape: 'cell',
    codec: json(z.object({ genesisSeed: z.string(), height: z.number(), head: z.string() })),
  }),
  /** The subject is the hash of the chain, the key a height. */
  log: defineTable({
    name: 'operator.log',
    shape: 'ordered',
    codec: json(z.object({ mbHash: z.string(), microblock: z.string() })),
  }),
}
const { projects, approvals, chains, log } = OPERATOR_TABLES

const putApproval = (approval: KeptApproval) =>
  approvals.in(approval.projectId, approval.id).put({ value: approval, expiresAt: approval.keptUntil })

const findApproval = async (kv: Kv, id: string) => {
  const [{ value: projectId }] = await read(kv, [projects.in(id).get()])
  if (projectId === undefined) return undefined
  const [{ value, isUnchanged }] = await read(kv, [approvals.in(projectId, id).get()])
  return value && { approval: value, isUnchanged }
}

const approvalVerbs = (
  kv: Kv,
  clock: Pick<Clock, 'now'>,
): Pick<OperatorStore, 'createApproval' | 'approval' | 'nameSigner'> => ({
  async createApproval(approval, now) {
    const { id, projectId, keptUntil } = approval
    const named = projects.in(id).put({ value: projectId, expiresAt: keptUntil })
    await kv.commit([{ partition: id, writes: [named] }], now)
    await kv.commit([{ partition: projectId, writes: [putApproval(approval)] }], now)
  },

  async approval(id) {
    const found = await findApproval(kv, id)
    if (!found) return undefined
    const { attempt: _, ...approval } = found.approval
    return approval
  },

  nameSigner: (id, signer, microblock) =>
    transact<void>(kv, clock.now(), async () => {
      const found = await findApproval(kv, id)
      if (!found || found.approval.signer !== undefined || found.approval.outcome)
        return { answer: undefined }
      const { approval, isUnchanged } = found
      const writes = [putApproval({ ...approval, signer, microblock })]
      return { answer: undefined, batch: { partition: approval.projectId, checks: [isUnchanged], writes } }
    }),
})

/** Microblocks that are put back in one commit. */
const MAX_RESTORED = 100

/** Puts those back that follow the last one of their chain. All are of that chain. */
const restoreChain = (
  { kv, now }: { kv: Kv; now: number },
  { projectId, vbHash }: Pick<LoggedMicroblock, 'projectId' | 'vbHash'>,
  records: readonly LoggedMicroblock[],
): Promise<void> =>
  transact<void>(kv, now, async () => {
    const cell = chains.in(projectId, vbHash)
    const [{ value, isUnchanged }] = await read(kv, [cell.get()])
    let chain = value
    const writes = records.flatMap(({ height, genesisSeed, mbHash, microblock }) => {
      if (height !== (chain?.height ?? 0) + 1) return []
      chain = { genesisSeed, height, head: mbHash }
      return [log.in(projectId, vbHash).put({ key: number(height), value: { mbHash, microblock } })]
    })
    if (!chain || writes.length === 0) return { answer: undefined }
    const batch = {
      partition: projectId,
      checks: [isUnchanged],
      writes: [...writes, cell.put({ value: chain })],
    }
    return { answer: undefined, batch }
  })

const logVerbs = (
  kv: Kv,
  clock: Pick<Clock, 'now'>,
): Pick<OperatorStore, 'anchor' | 'chain' | 'microblocks' | 'restoreMicroblocks'> => ({
  anchor: ({ id, projectId, attempt, outcome, previousHash, genesisSeed, microblock }, now) =>
    transact<Awaited<ReturnType<OperatorStore['anchor']>>>(kv, now, async () => {
      const { vbHash, mbHash, height } = outcome
      const cell = chains.in(projectId, vbHash)
      const [open, chain] = await read(kv, [approvals.in(projectId, id).get(), cell.get()])
      const approval = open.value
      if (approval?.outcome) return { answer: approval.attempt === attempt ? 'anchored' : 'finished' }
      if (!approval || approval.expiresAt <= now) return { answer: 'unknown' }
      const last = chain.value
      if (height !== (last?.height ?? 0) + 1 || (last && last.head !== previousHash))
        return { answer: 'moved' }
      const writes = [
        putApproval({ ...approval, attempt, outcome: { vbHash, mbHash, height } }),
        cell.put({ value: { genesisSeed: last?.genesisSeed ?? genesisSeed, height, head: mbHash } }),
        log.in(projectId, vbHash).put({ key: number(height), value: { mbHash, microblock } }),
      ]
      const checks = [open.isUnchanged, chain.isUnchanged]
      return { answer: 'anchored', batch: { partition: projectId, checks, writes } }
    }),

  async chain(projectId, vbHash) {
    const [{ value }] = await read(kv, [chains.in(projectId, vbHash).get()])
    return value && { vbHash, ...value }
  },

  async microblocks(projectId, vbHash, { after, limit }) {
    const [rows] = await read(kv, [log.in(projectId, vbHash).range({ from: number(after + 1), limit })])
    return rows.map(({ key, value }) => ({ height: key.readDoubleBE(), microblock: value.microblock }))
  },

  async restoreMicroblocks(records) {
    for (let at = 0; at < records.length; ) {
      const first = records[at]
      if (!first) return
      const end = records.findIndex(
        ({ projectId, vbHash }, nth) =>
          nth > at && (projectId !== first.projectId || vbHash !== first.vbHash || nth === at + MAX_RESTORED),
      )
      const some = records.slice(at, end === -1 ? records.length : end)
      await restoreChain({ kv, now: clock.now() }, first, some)
      at += some.length
    }
  },
})

export const createOperatorStore = (kv: Kv, clock: Pick<Clock, 'now'>): OperatorStore => ({
  ...approvalVerbs(kv, clock),
  ...logVerbs(kv, clock),
})
