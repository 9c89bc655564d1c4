/** A client of MQTT over TCP, at QoS 1 (at least once), whose session outlives the connection. */
import { connect } from 'mqtt'
import type { Connect } from './link.ts'

export const connectMosquitto: Connect = async (url, name, onMessage) => {
  const client = connect(url, { clientId: name, clean: false, reconnectPeriod: 0 })
  // What waits comes at once, and what nobody hears is acknowledged all the same.
  client.on('message', (_, payload) => onMessage(payload.toString()))
  await new Promise((resolve, reject) => client.once('connect', resolve).once('error', reject))
  return {
    subscribe: (topic) => client.subscribeAsync(topic, { qos: 1 }),
    publish: (topic, message) => client.publishAsync(topic, message, { qos: 1 }),
    close: () => client.endAsync(true),
  }
}
