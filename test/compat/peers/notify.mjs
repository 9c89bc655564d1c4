/* One @walletconnect/notify-client: a device of a wallet. */
import { serve, tell } from './host.mjs'

const { NotifyClient } = require('@walletconnect/notify-client')
// What a sign-in with a session uses to complete a capability.
const {
  formatMessage,
  formatStatementFromRecap,
  decodeRecap,
} = require('#@walletconnect/sign-client#@walletconnect/utils')
let client
let registration

serve({
  async init(options) {
    client = await NotifyClient.init(options)
    for (const name of ['notify_subscription', 'notify_message', 'notify_update', 'notify_delete']) {
      client.on(name, ({ topic, params }) => tell(name, { topic, ...params }))
    }
    client.on('notify_subscriptions_changed', ({ params }) => tell('changed', params.subscriptions))
    client.core.relayer.on('relayer_connect', () => tell('connect'))
    client.core.relayer.on('relayer_disconnect', () => tell('disconnect'))
  },
  /** Resolves with the text that the account must sign; `register` takes the signature. */
  async prepare({ account, domain, allApps }) {
    const { message, registerParams } = await client.prepareRegistration({ account, domain, allApps })
    registration = registerParams
    return message
  },
  /** The same with an ERC-5573 capability instead of a statement, completed as a sign-in with a session does it. */
  async prepareWithRecap({ account, domain, allApps }) {
    const { cacaoPayload, ...others } = await client.prepareRegistrationWithRecaps({ domain, allApps })
    const iss = `did:pkh:${account}`
    const statement = formatStatementFromRecap(undefined, decodeRecap(cacaoPayload.resources.at(-1)))
    registration = { ...others, cacaoPayload: { ...cacaoPayload, iss, statement } }
    return formatMessage(registration.cacaoPayload, iss)
  },
  register: (signature) => client.register({ registerParams: registration, signature }),
  unregister: (account) => client.unregister({ account }),
  isRegistered: (params) => client.isRegistered(params),
  loaded: () => client.hasFinishedInitialLoad(),
  /** `true`, or why not: the client itself says no more than `false`. */
  async subscribe(params) {
    const faults = []
    const note = ({ params: { error } }) => error && faults.push(error.message)
    client.on('notify_subscription', note)
    const isSubscribed = await client.subscribe(params)
    client.off('notify_subscription', note)
    return isSubscribed || faults.join()
  },
  update: (params) => client.update(params),
  delete: (params) => client.deleteSubscription(params),
  subscriptions: (account) => Object.values(client.getActiveSubscriptions({ account })),
  history: (params) => client.getNotificationHistory(params),
  markAsRead: (params) => client.markNotificationsAsRead(params),
  markAllAsRead: (params) => client.markAllNotificationsAsRead(params),
  offline: () => client.core.relayer.transportClose(),
  online: () => client.core.relayer.transportOpen(),
})
