/**
 * What the operator asks of storage. Promises resolve when durable. What belongs to one project changes atomically:
 * approvals with the virtual blockchains that they extend.
 */

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
  /** Unix ms `now`: forgets some of what was kept long enough. Puts a finished one back, too. */
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
