/* One @walletconnect/core, of the version that the test names. */
import { serve, tell } from './host.mjs'

const { Core } = require('#client')
let core

serve({
  async init(options) {
    core = new Core(options)
    await core.start()
    core.relayer.on('relayer_message', async ({ topic, message, publishedAt }) => {
      tell('message', { topic, publishedAt, payload: await core.crypto.decode(topic, message) })
    })
    core.relayer.on('relayer_connect', () => tell('connect'))
    core.relayer.on('relayer_disconnect', () => tell('disconnect'))
    return core.crypto.getClientId()
  },
  useKey: (symKey) => core.crypto.setSymKey(symKey),
  subscribe: (topic) => core.relayer.subscribe(topic),
  async subscribeAll(topics) {
    await Promise.all(topics.map((topic) => core.relayer.subscribe(topic)))
  },
  unsubscribe: (topic) => core.relayer.unsubscribe(topic),
  async publish(topic, payload, options) {
    await core.relayer.publish(topic, await core.crypto.encode(topic, payload), options)
  },
  registerDevice: (device) => core.echoClient.registerDeviceToken(device),
  decode: (topic, message) => core.crypto.decode(topic, message),
  offline: () => core.relayer.transportClose(),
  online: () => core.relayer.transportOpen(),
})
