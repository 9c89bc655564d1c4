/** What an attack is, and what attackers are told. The test reads the title and the bounds, the attackers' process runs it. */
import { z } from 'zod'
import { crowd } from '../../support/runs.ts'
import type { Stranger } from './stranger.ts'

/** What begins to hurt at once, if it does. */
export const SHORT_SECONDS = crowd(3, 2)

const Receiver = z.object({
  /** X25519 public key, hex. */
  key: z.string(),
  /** `did:key` of its Ed25519 key. */
  did: z.string(),
})

export const Orders = z.object({
  title: z.string(),
  relays: z.array(z.string()).min(1),
  servers: z.array(z.string()).min(1),
  /** Where all of it comes from, as a trusted proxy says it; and where some of it may come from beside it. */
  address: z.string(),
  accomplice: z.string(),
  server: Receiver,
  app: Receiver.extend({ domain: z.string() }),
  /** Of the attackers' own app. */
  project: z.object({ id: z.string(), secret: z.string(), domain: z.string() }),
  /** Where the attackers may be as key servers that the operator allows: one that hangs, one that switches protocols. */
  keyServers: z.object({ hanging: z.string(), switching: z.string() }),
  victim: z.object({
    /** Archived, known to everybody who sees it at the relay. */
    topic: z.string(),
    /** A message waits there for a relay client that is away, and these tokens of other purposes it signed. */
    waiting: z.string(),
    tokens: z.array(z.string()),
    /** Of the reader of a message queue. */
    queue: z.string(),
  }),
})
export type Orders = z.infer<typeof Orders>

export type Scene = Stranger & { readonly orders: Orders }

export interface Attack {
  /** What a stranger does: completes "… while a stranger …". */
  title: string
  seconds: number
  /** How much more is stored afterwards, at most, MiB. */
  storedMiB?: number
  /** How much more memory a process has afterwards, at most, MiB. */
  residentMiB?: number
  /** What must have been done at least and at most so often, by its name in the tally. */
  atLeast?: Record<string, number>
  atMost?: Record<string, number>
  /** It needs a name server of the test's own, which only root can give a process. */
  needsNames?: boolean
  run(scene: Scene): Promise<void>
}
