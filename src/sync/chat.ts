/** The stores of published chat clients. */
import * as z from 'zod'
import type { StoreDefinition } from './stores.ts'

/** CAIP-10; whatever the spelling of the address, because others wrote it. */
const account = z.string().regex(/^[-a-z0-9]{3,8}:[-_a-zA-Z0-9]{1,32}:[-.%a-zA-Z0-9]{1,128}$/)
const hex = z.string().regex(/^[0-9a-fA-F]{64}$/)
const status = z.enum(['pending', 'rejected', 'approved'])

const defined = <T>(
  name: string,
  schema: z.ZodType<T>,
  keyOf: (record: T) => string,
): StoreDefinition<T> => ({
  name: `com.walletconnect.chat.${name}`,
  schema,
  keyOf,
})

export const CHAT_STORES = {
  sentInvites: defined(
    'sentInvites',
    z.object({
      id: z.number(),
      message: z.string(),
      inviterAccount: account,
      inviteeAccount: account,
      inviterPubKeyY: hex,
      inviterPrivKeyY: hex,
      status,
      responseTopic: hex,
      symKey: hex,
      timestamp: z.number(),
    }),
    ({ responseTopic }) => responseTopic,
  ),
  threads: defined(
    'threads',
    z.object({ topic: hex, selfAccount: account, peerAccount: account, symKey: hex }),
    ({ topic }) => topic,
  ),
  inviteKeys: defined(
    'inviteKeys',
    z.object({ publicKey: hex, privateKey: hex, account }),
    (keys) => keys.account,
  ),
  receivedInviteStatuses: defined('receivedInviteStatuses', z.object({ id: z.number(), status }), ({ id }) =>
    String(id),
  ),
}
