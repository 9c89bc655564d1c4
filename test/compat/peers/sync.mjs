/* One @walletconnect/sync-client. */
import { serve, tell } from './host.mjs'

const { SyncClient } = require('@walletconnect/sync-client')
const { Core } = require('#@walletconnect/sync-client#@walletconnect/core')
let client

serve({
  async init(options) {
    const core = new Core(options)
    await core.start()
    client = await SyncClient.init({ ...options, core })
    client.on('sync_update', () => tell('sync_update'))
  },
  getMessage: (params) => client.getMessage(params),
  register: (params) => client.register(params),
  create: (params) => client.create(params),
  set: (params) => client.set(params),
  delete: (params) => client.delete(params),
  getStores: (params) => client.getStores(params),
})
