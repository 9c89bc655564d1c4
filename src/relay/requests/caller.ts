import type { ZodType } from 'zod'
import { checked } from '../../platform/validate.ts'
import type { ClientDelivery } from '../delivery/client-delivery.ts'
import type { Connection } from '../delivery/connection.ts'

/** Who makes a request. Without a connection (HTTP) nothing can be pushed. */
export interface Caller {
  clientId: string
  trusted: boolean
  /** Who pays: the address block, and its name in what is stored; '' for the house. */
  address: string
  payer: string
  connection?: Connection
  delivery?: ClientDelivery | undefined
}

/** How a request begins and ends, each once. `answer` is false when the answer could not be handed over. */
export interface Reply {
  /**
   * So many items are about to be worked on: charges those beyond the first. Undefined when that may begin at once;
   * otherwise resolves when it may. Throws `rate_limited` where nothing can be held back.
   */
  enter(items: number): Promise<void> | undefined
  answer(result: unknown): boolean
  fail(error: unknown): void
}

/** May throw or reject instead of calling `fail`. */
export type Method = (caller: Caller, params: unknown, reply: Reply) => void | Promise<void>

/** Serves a request whose params are checked and whose payer's turn it is. */
type Work<Request> = (caller: Caller, request: Request, reply: Reply) => void | Promise<void>

/** A method of one item whose work begins when it is its payer's turn. */
export const single = <Request>(definition: { params: ZodType<Request> }, work: Work<Request>): Method =>
  batched(definition, () => 1, work)

/** The same for a method of many items. */
export const batched =
  <Request>(
    { params: schema }: { params: ZodType<Request> },
    itemsIn: (request: Request) => number,
    work: Work<Request>,
  ): Method =>
  (caller, params, reply) => {
    const request = checked(schema, params)
    const turn = reply.enter(itemsIn(request))
    return turn ? turn.then(() => work(caller, request, reply)) : work(caller, request, reply)
  }
