/* One @walletconnect/chat-client with its @walletconnect/sync-client. */
import { serve, tell } from './host.mjs'

const { ChatClient } = require('@walletconnect/chat-client')
const { SyncClient, SyncStore } = require('@walletconnect/sync-client')
const { Core } = require('#@walletconnect/sync-client#@walletconnect/core')
// As in the browsers for which it was made: it rejects, and nobody listens, for the answer to another device's request,
// which is what history consists of for a device that joins later.
process.on('unhandledRejection', (error) => tell('rejection', error?.message))
let client
const asked = new Map()

serve({
  async init(options) {
    const core = new Core(options)
    await core.start()
    const syncClient = await SyncClient.init({ ...options, core })
    client = await ChatClient.init({ ...options, core, syncClient, SyncStoreController: SyncStore })
    for (const name of [
      'chat_invite',
      'chat_invite_accepted',
      'chat_invite_rejected',
      'chat_message',
      'chat_left',
    ])
      client.on(name, (data) => tell(name, data))
  },
  /** Each text that must be signed comes as the event `sign`; `signed` takes its signature. */
  async register(account) {
    await client.register({
      account,
      onSign: (text) => {
        tell('sign', text)
        return new Promise((resolve) => asked.set(text, resolve))
      },
    })
    tell('registered')
  },
  signed: (text, signature) => asked.get(text)(signature),
  resolve: (account) => client.resolve({ account }),
  invite: (params) => client.invite(params),
  accept: (id) => client.accept({ id }),
  message: (params) => client.message(params),
  threads: () => [...client.getThreads().values()],
  messages: (topic) => client.getMessages({ topic }),
  sentInvites: (account) => client.getSentInvites({ account }),
})
