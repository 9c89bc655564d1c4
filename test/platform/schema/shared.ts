/** The schemas that clients and the server share, by name: of zod, or of `#schema` as a client has it. */
import * as dapp from '../../../src/notify/client/dapp-schema.ts'
import { Event } from '../../../src/notify/client/verify-webhook.ts'
import { walletState } from '../../../src/notify/client/wallet/state.ts'
import { cacaoSchema } from '../../../src/protocol/cacao.ts'
import { extrasMembers } from '../../../src/protocol/notify/extras.ts'
import { preferences } from '../../../src/protocol/notify/preferences.ts'
import { NOTIFY_REQUESTS } from '../../../src/protocol/notify/requests.ts'
import { NOTIFY_METHODS } from '../../../src/protocol/notify-methods.ts'
import { RELAY_METHODS } from '../../../src/protocol/relay-methods.ts'

export const schemas = {
  ...{ cacaoSchema, preferences, Event, walletState, ...dapp, ...extrasMembers },
  ...Object.fromEntries(Object.entries(NOTIFY_REQUESTS).map(([tag, claims]) => [`request ${tag}`, claims])),
  ...Object.fromEntries(
    Object.values(NOTIFY_METHODS).map((row) =>
      'requestClaims' in row
        ? [`request ${row.requestTag}`, row.requestClaims]
        : [`response ${row.responseTag}`, row.responseClaims],
    ),
  ),
  ...Object.fromEntries(
    Object.entries(RELAY_METHODS).flatMap(([method, { params, result }]) => [
      [`${method} params`, params],
      [`${method} result`, result],
    ]),
  ),
}
