/* One @walletconnect/sign-client, of the version that the test names: a dapp or a wallet. */
import { serve, tell } from './host.mjs'

const { SignClient } = require('#client')
const told = [
  'session_proposal',
  'session_request',
  'session_event',
  'session_update',
  'session_extend',
  'session_ping',
  'session_delete',
  'session_expire',
]
let client

serve({
  async init(options) {
    client = await SignClient.init(options)
    for (const name of told) client.on(name, (data) => tell(name, data))
    client.core.relayer.on('relayer_publish', (data) => tell('published', data.params?.tag ?? data.tag))
    client.core.relayer.on('relayer_connect', () => tell('connect'))
    client.core.relayer.on('relayer_disconnect', () => tell('disconnect'))
  },
  /** Resolves with the pairing URI; the outcome comes as the event `settled` or `refused`. */
  async connect(params) {
    const { uri, approval } = await client.connect(params)
    approval().then(
      (session) => tell('settled', session),
      (error) => tell('refused', error),
    )
    return uri
  },
  /** Resolves with the session when the other side has acknowledged it. */
  async approve(params) {
    const { acknowledged } = await client.approve(params)
    return acknowledged()
  },
  pair: (params) => client.pair(params),
  reject: (params) => client.reject(params),
  request: (params) => client.request(params),
  respond: (params) => client.respond(params),
  emit: (params) => client.emit(params),
  async update(params) {
    const { acknowledged } = await client.update(params)
    await acknowledged()
  },
  async extend(params) {
    const { acknowledged } = await client.extend(params)
    await acknowledged()
  },
  ping: (params) => client.ping(params),
  disconnect: (params) => client.disconnect(params),
  sessions: () => client.session.getAll(),
  offline: () => client.core.relayer.transportClose(),
  online: () => client.core.relayer.transportOpen(),
})
